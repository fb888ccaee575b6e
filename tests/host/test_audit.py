# SPDX-License-Identifier: GPL-2.0-or-later
"""audit on this kernel: a full disk, a user without privileges, and a process that is killed."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from ..nobody import command_as_nobody
from ..processes import wait_for_end
from ..skips import skip

ARGV = [sys.executable, "-m", "kprobe_tool", "audit"]


def test_a_full_disk_leaves_the_old_file() -> None:
    """On a file system of two pages, in a mount namespace of its own that goes with the shell."""
    if os.geteuid() != 0:
        skip("mounting needs root")
    script = f"""
        mount -t tmpfs -o size=8k tmpfs /mnt
        echo old > /mnt/x.prom
        {shlex.join(ARGV)} -o prometheus --write /mnt/x.prom
        echo "code $?"
        cat /mnt/x.prom
        ls -A /mnt
    """
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], check=False, capture_output=True, text=True)
    if "unshare" in done.stderr:
        skip(f"no mount namespace: {done.stderr}")
    assert done.stderr == "kprobe-tool: audit: /mnt/x.prom: No space left on device (ENOSPC)\n"
    assert done.stdout == "code 2\nold\nx.prom\n"


def test_nobody_gets_a_verdict_of_every_check() -> None:
    """No check fails, and those that root may settle are named."""
    done = subprocess.run(command_as_nobody([*ARGV, "-o", "json"]), check=False, capture_output=True, text=True)
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert document["summary"]["root"] is False
    assert document["summary"]["counts"]["unknown"] >= len(document["summary"]["root_may_settle"])
    assert not [row for row in document["results"] if row["reason"].startswith("the check failed")]


def test_nothing_is_left_after_a_kill(tmp_path: Path) -> None:
    """Killed while a check hangs: the process that it runs in dies with it."""
    code = (
        "import os, sys, time\n"
        "from kprobe_tool import cli\n"
        "from kprobe_tool.probes import audit\n"
        "def hang(check):\n"
        "    os.write(2, f'{os.getpid()}\\n'.encode())\n"
        "    time.sleep(3600)\n"
        "audit.evaluate = hang\n"
        "cli.run(['audit', '-o', 'json', '--write', sys.argv[1]])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "x")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    child = int(process.stderr.readline())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert wait_for_end(child)
    assert os.listdir(tmp_path) == []
