# SPDX-License-Identifier: GPL-2.0-or-later
"""What keeps a check from being run costs its own verdict only."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import denied

ROOT = Path(__file__).parents[3]

CODE = """
import errno, os, sys
import kprobe_tool.cli
from tests.denied import deny

kept, left = os.fork, int(sys.argv[1])
def fork():
    global left
    left -= 1
    if not left:
        deny("clone", "fork", error=errno.EAGAIN)
    return kept()
os.fork = fork
sys.argv = ["kprobe-tool", "audit", "-o", "json", "--timeout", "60"]
kprobe_tool.cli.main()
"""


@pytest.mark.parametrize(("forks", "systems"), [(1, 0), (2, 1), (3, 2)])
def test_systems_without_a_process_are_unknown(forks: int, systems: int) -> None:
    """From some child on there is none: what was answered before stays, the rest is unknown."""
    denied.require_numbers()
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(forks)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    rows = json.loads(done.stdout)["results"]
    refused = [row for row in rows if "had no room to run the check" in row["reason"]]
    assert len({row["system"] for row in rows} - {row["system"] for row in refused}) == systems
    assert {row["status"] for row in refused} == {"unknown"}
    assert all("(EAGAIN)" in row["reason"] for row in refused)
    assert "Traceback" not in done.stderr
