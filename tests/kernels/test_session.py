"""What comes back from a guest, and what is said when nothing does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kprobe_tool.lab.offers import Kernel

from .session import Guest, Plan

KERNEL = Kernel("6.0-amd64", "6.0-1", "sid", ("newest",))


def test_plan_survives_the_way(tmp_path: Path) -> None:
    plan = Plan(KERNEL, ("test_a", "test_b"))
    plan.write(tmp_path / "plan")
    assert Plan.read(tmp_path / "plan") == plan


def test_what_is_known_when_a_kernel_dies(tmp_path: Path) -> None:
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
    guest.rewind()
    assert guest.running is None
    assert guest.missing() == ("test_b", "test_c")


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
