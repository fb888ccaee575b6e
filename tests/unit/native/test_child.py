# SPDX-License-Identifier: GPL-2.0-or-later
"""A child that answers questions: its errors, and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kprobe_tool.native.child import Child, Request


def test_a_child_does_not_outlive_its_parent() -> None:
    code = (
        "import os, time\n"
        "from kprobe_tool.native.child import Child\n"
        "child = Child(lambda request: {}, time.monotonic() + 60)\n"
        "child.ask()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert Path(f"/proc/{pid}").exists()
    process.kill()
    process.wait()
    process.stdout.close()
    for _ in range(500):
        try:
            status = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            break
        if status == "Z":
            # Dead; whoever adopted it has not looked yet.
            break
        time.sleep(0.01)
    else:
        pytest.fail("the child is still there")


def test_errors_of_a_child_reach_the_parent() -> None:
    from kprobe_tool.native.child import Child

    def serve(request: Request) -> Request:
        if request["do"] == "error":
            raise OSError(13, "no", "there")
        if request["do"] == "hang":
            time.sleep(60)
        if request["do"] == "die":
            os._exit(3)
        return {"pid": os.getpid()}

    with Child(serve, time.monotonic() + 60) as child:
        assert child.ask(do="pid") == {"pid": child.pid}
        with pytest.raises(PermissionError, match="there"):
            child.ask(do="error")
        assert child.ask(do="pid") == {"pid": child.pid}
        with pytest.raises(ConnectionError):
            child.ask(do="die")
    with Child(serve, time.monotonic() + 0.2) as child, pytest.raises(TimeoutError):
        child.ask(do="hang")
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, 0)


def test_a_stuck_child_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a killed child that does not end."""

    def wait(request: Request) -> Request:
        time.sleep(3600)
        return {}

    child = Child(wait, time.monotonic() + 0.1)
    with pytest.raises(TimeoutError):
        child.ask()
    monkeypatch.setattr(os, "kill", lambda pid, number: None)
    monkeypatch.setattr("kprobe_tool.native.child.PATIENCE", 0.1)
    begin = time.monotonic()
    child.close()
    assert time.monotonic() - begin < 60
    monkeypatch.undo()
    os.kill(child.pid, signal.SIGKILL)
    os.waitpid(child.pid, 0)
