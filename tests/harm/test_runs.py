"""The harness itself: what others have on this host, and how long it waits for that."""

import os
import signal
import subprocess
import time
from contextlib import suppress

import pytest

from ..skips import skip
from .runs import GONE_AFTER, OTHERS, Patience, list_namespaces

BEGIN = 1000.0


@pytest.mark.parametrize("others_end", [0.0, GONE_AFTER / 2, GONE_AFTER + 1, OTHERS])
def test_patience_begins_when_others_have_ended(others_end: float) -> None:
    patience = Patience(BEGIN)
    steps = [BEGIN + second for second in range(int(others_end) + 1)]
    assert all(patience.lasts(now, others=bool(others_end)) for now in steps)
    assert patience.lasts(BEGIN + others_end + GONE_AFTER - 1.5, others=False)
    assert not patience.lasts(BEGIN + others_end + GONE_AFTER + 1, others=False)


def test_others_are_not_waited_for_without_end() -> None:
    patience = Patience(BEGIN)
    assert not all(patience.lasts(BEGIN + second, others=True) for second in range(int(OTHERS + GONE_AFTER) + 2))


def wait_for_namespace(pid: int) -> str:
    """The mount namespace of a process, once that is one of its own."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with suppress(OSError):
            found = os.readlink(f"/proc/{pid}/ns/mnt")
            if found != os.readlink("/proc/self/ns/mnt"):
                return found
        time.sleep(0.01)
    raise TimeoutError("no namespace of its own")


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "others"])
def test_namespaces_count_where_a_process_of_ours_is_in_them(ours: bool) -> None:
    if os.geteuid() != 0:
        skip("a mount namespace needs root")
    # What a shell leaves behind becomes a child of init, or of whoever takes orphans in here.
    script = "exec unshare --mount sleep 600" if ours else "unshare --mount sleep 600 >&- 2>&- & echo $!"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = process.pid if ours else int(process.stdout.readline())
        if not ours:
            process.wait()
        try:
            assert (wait_for_namespace(pid) in list_namespaces()) is ours
        finally:
            os.kill(pid, signal.SIGKILL)
