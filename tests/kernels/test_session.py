# SPDX-License-Identifier: GPL-2.0-or-later
"""What comes back from a guest, and the reason that is given when nothing does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kprobe_tool.lab.offers import Kernel

from .session import KEEP, Guest, Lab, Plan, prune

KERNEL = Kernel("6.0-amd64", "6.0-1", "sid", ("newest",))


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = Plan(KERNEL, ("test_a", "test_b"))
    plan.write(tmp_path / "plan")
    assert Plan.read(tmp_path / "plan") == plan


def test_a_kernel_that_died_is_named_with_the_test_that_ran(tmp_path: Path) -> None:
    guest = Guest(KERNEL, ("test_a", "test_b", "test_c"), tmp_path)
    guest.console.write_text("Kernel panic - not syncing\r\n")
    guest.take({"event": "start", "test": "test_a"})
    guest.take({"event": "report", "report": {"outcome": "passed"}})
    guest.take({"event": "finish", "test": "test_a"})
    guest.take({"event": "start", "test": "test_b"})
    guest.take({"event": "report", "report": {"outcome": "passed"}})
    assert guest.reports == {"test_a": [{"outcome": "passed"}]}
    assert guest.missing() == ("test_b", "test_c")
    assert "died during this test" in guest.epitaph("test_b")
    assert "Kernel panic" in guest.epitaph("test_b")
    assert guest.epitaph("test_c") == "6.0-amd64 died before this test, during test_b"
    # A second boot starts with a clean slate, but keeps what is done.
    guest.take({"event": "ending", "seconds": 1.5, "hung": "not done after 5 s"})
    assert guest.trouble == ["boot 0 hung: not done after 5 s, in test_b"]
    guest.take({"event": "boot"})
    assert guest.running is None
    assert guest.missing() == ("test_b", "test_c")


def test_half_a_line_is_left_for_the_next_time(tmp_path: Path) -> None:
    guest = Guest(KERNEL, ("test_a",), tmp_path)
    guest.read()
    with open(guest.journal, "w") as journal:
        journal.write('{"event": "boot"}\n{"event": "start", "test": "te')
        journal.flush()
        guest.read()
        assert (guest.boots, guest.running) == (1, None)
        journal.write('st_a"}\n')
        journal.flush()
        guest.read()
        assert (guest.boots, guest.running) == (1, "test_a")


def test_nobody_waits_for_a_process_that_is_gone(tmp_path: Path) -> None:
    lab = Lab(tmp_path, None)
    lab.guests["newest"] = Guest(KERNEL, ("test_a",), tmp_path)
    with subprocess.Popen(["sleep", "60"], stdin=subprocess.PIPE) as process:
        lab._boots = process
        process.kill()
        assert lab.results("newest", "test_a") is None
    assert "the process that boots the guests ended" in lab.guests["newest"].epitaph("test_a")
    lab.stop()


def test_guests_end_with_the_session(tmp_path: Path) -> None:
    """However the session ends, its end of the pipe is closed."""
    directory = tmp_path / KERNEL.role
    directory.mkdir()
    Plan(Kernel("0.0.0-none", "0", "sid", KERNEL.roles), ("test_a",)).write(directory / "plan.json")
    argv = [sys.executable, "-m", "tests.kernels.boots", str(tmp_path), str(tmp_path), "", KERNEL.role]
    # An empty cache and a mirror that is not there.
    environment = dict(os.environ, KPROBE_TOOL_KERNEL_CACHE=str(tmp_path / "cache"), PATH="/nonexistent")
    done = subprocess.run(argv, env=environment, cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0
    guest = Guest(KERNEL, ("test_a",), directory)
    guest.read()
    assert guest.over and guest.unavailable and not guest.boots


def test_guest_tests_refuse_the_host() -> None:
    environment = dict(os.environ, KPROBE_TOOL_GUEST="6.0-amd64")
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(here / "guest")],
        env=environment,
        cwd=here.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "no guest of the kernel lab" in done.stderr


def test_sessions_that_run_are_not_removed(tmp_path: Path) -> None:
    # No process has a number above 2^22.
    over = [tmp_path / f"20261121T18000{second}-{1 << 23}" for second in range(KEEP + 2)]
    running = tmp_path / f"20261121T170000-{os.getpid()}"
    for directory in (*over, running):
        directory.mkdir()
    prune(tmp_path)
    assert sorted(tmp_path.iterdir()) == [running, *over[2:]]
