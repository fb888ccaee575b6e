# SPDX-License-Identifier: GPL-2.0-or-later
"""The processes of a guest, with a shell in the place of QEMU."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kprobe_tool.lab import boot


class Harness:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lines: list[bytes] = []
        self.stop = threading.Event()

    def run(self, shell: str, limits: boot.GuestLimits = boot.DEFAULT_LIMITS) -> boot.Ending:
        return boot.run(["sh", "-c", shell], self.directory / "console", self.lines.append, self.stop, limits)


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path)


def is_alive(pid: int) -> bool:
    """Whether a process runs. A zombie does not: nobody may have reaped an orphan yet."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_lines_and_console_are_kept_apart(harness: Harness) -> None:
    ending = harness.run("printf 'a\\nb'; echo console >&2; sleep 0.1; echo c")
    assert harness.lines == [b"a", b"bc"]
    assert (harness.directory / "console").read_text() == "console\n"
    assert not ending.hung and not ending.stopped


@pytest.mark.slow
def test_a_silent_guest_is_killed_with_its_children(harness: Harness) -> None:
    pid = harness.directory / "pid"
    # A busy machine may need longer than a second to start the child that is to be killed.
    for seconds in (1, 5, 25):
        limits = boot.GuestLimits(first_sign_of_life=seconds)
        ending = harness.run(f"trap '' TERM; (sleep 60 & echo $! > {pid}; wait); wait", limits)
        assert f"no sign of life after {seconds} s" in ending.hung
        if pid.exists() and pid.read_text():
            break
    # A process that was killed may take a moment to be gone.
    end = time.monotonic() + 30
    while is_alive(int(pid.read_text())) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_alive(int(pid.read_text()))


def test_a_kernel_without_a_word_is_hung(harness: Harness) -> None:
    assert "nothing on its console after 1 s" in harness.run("sleep 60", boot.GuestLimits(first_output=1)).hung


@pytest.mark.slow
def test_a_guest_that_does_not_end_is_hung(harness: Harness) -> None:
    assert "not done after 5 s" in harness.run("echo alive; sleep 60", boot.GuestLimits(total=5)).hung
    assert harness.lines == [b"alive"]


def test_a_guest_stops_when_it_is_told_to(harness: Harness) -> None:
    threading.Timer(0.3, harness.stop.set).start()
    start = time.monotonic()
    ending = harness.run("echo alive; sleep 60")
    assert ending.stopped and not ending.hung
    assert time.monotonic() - start < 30


def test_the_script_carries_odd_names() -> None:
    script = boot.guest_script(
        boot.Image("6.0-amd64", Path("/a b/cache")),
        ["printf", "%s\n", "it's"],
        cwd=Path("/a b"),
        environment={"X": "1 2"},
        directories=[Path("/a b"), Path("/usr/lib")],
    )
    lines = script.splitlines()
    assert "for directory in '/a b'; do" in lines
    assert "cd '/a b'" in lines
    assert "ln -s /run/host'/a b/cache/lib/modules/6.0-amd64' /usr/lib/modules/6.0-amd64" in lines
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0


def test_a_guest_of_another_architecture_has_a_root_directory_of_its_own() -> None:
    image = boot.Image("6.1.0-56-arm64", Path("/cache/6.1.0-56-arm64"), Path("/cache/userland"))
    script = boot.guest_script(image, ["true"], cwd=Path("/a/b"), environment={}, directories=[Path("/a")])
    lines = script.splitlines()
    assert "cd /run/needed/a/b" in lines
    assert '    mount --bind /run/host"$directory" /run/needed"$directory"' in lines
    assert any("lowerdir=/run/host/cache/userland/usr," in line for line in lines)
    assert boot.path_in_guest(image, Path("/a/b/c")) == Path("/run/needed/a/b/c")
    argv = boot.virtme_run(image, Path("/tmp/x/guest.sh"))
    assert argv[argv.index("--arch") + 1] == "aarch64"
    assert argv[argv.index("--root") + 1] == "/cache/userland"
    assert argv[argv.index("--script-sh") + 1] == "exec sh /run/script/guest.sh"
    assert not any("max_ports" in word for word in argv)


def test_a_guest_of_this_architecture_has_the_root_directory_of_its_host() -> None:
    image = boot.Image("6.1.0-56-amd64", Path("/cache/6.1.0-56-amd64"))
    assert boot.path_in_guest(image, Path("/a/b")) == Path("/a/b")
    assert boot.interpreter_in_guest(image) == ([sys.executable], {})
    argv = boot.virtme_run(image, Path("/tmp/x/guest.sh"))
    assert "--arch" not in argv and "--root" not in argv
    assert argv[argv.index("--rodir") + 1] == "/run/script=/tmp/x"
    assert argv[argv.index("--script-sh") + 1] == "exec sh /run/script/guest.sh"
