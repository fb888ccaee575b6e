# SPDX-License-Identifier: GPL-2.0-or-later
"""doctor where something is missing."""

import json
import subprocess
import sys


def test_doctor_tells_how_to_get_bcc() -> None:
    """In a Python that finds no bcc: nothing fails, and one line says what to install."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from kprobe_tool.native import bcc\n"
        "bcc.DISTRIBUTION = Path('/nonexistent')\n"
        "sys.modules['bcc'] = None\n"
        "sys.argv = ['kprobe-tool', 'doctor', '-o', 'json']\n"
        "from kprobe_tool.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = [row for row in json.loads(done.stdout)["results"] if row["name"] == "bcc"]
    assert row["available"] is False
    assert "python3-bpfcc" in row["hint"]
