# SPDX-License-Identifier: GPL-2.0-or-later
"""Finding network namespaces among what other processes have open, whatever that is."""

import ctypes
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kprobe_tool.native import netns, sched
from kprobe_tool.native.stat import cached_status

from .tool import ARGV

CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE, MNT_DETACH = 0x4000, 0x40000, 2
SECONDS = 60


def hold_dead_fuse(directory: Path, ready: int) -> None:
    """Mount a FUSE file system that nobody will ever serve, keep its root open, and unmount it: in the list of open
    files it is called ``/``, and whoever asks for its status waits for ever."""
    libc = ctypes.CDLL(None, use_errno=True)
    sched.unshare(CLONE_NEWNS)
    server = os.open("/dev/fuse", os.O_RDWR)
    target = bytes(directory)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0".encode()
    assert libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None) == 0
    assert libc.mount(b"kt-dead", target, b"fuse", ctypes.c_ulong(0), options) == 0, os.strerror(ctypes.get_errno())
    root = os.open(directory, os.O_PATH)
    assert libc.umount2(target, MNT_DETACH) == 0
    assert os.readlink(f"/proc/self/fd/{root}") == "/"
    os.write(ready, str(root).encode())


@pytest.fixture
def dead_fuse(modprobe: Callable[..., None], tmp_path: Path) -> Iterator[str]:
    """The path under /proc of an open file on a dead FUSE mount, held by a process of its own."""
    modprobe("fuse")
    reading, writing = os.pipe()
    ending, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(end)
            hold_dead_fuse(tmp_path, writing)
            os.read(ending, 1)
        finally:
            os._exit(0)
    os.close(writing)
    os.close(ending)
    number = os.read(reading, 20).decode()
    os.close(reading)
    assert number, "the mount was not made"
    yield f"/proc/{pid}/fd/{number}"
    os.close(end)
    os.waitpid(pid, 0)


def test_a_dead_file_system_does_hang(dead_fuse: str) -> None:
    """The control: stat(2) of that file never comes back."""
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(["stat", "-L", dead_fuse], check=False, capture_output=True, timeout=10)


def test_a_dead_file_system_is_looked_at_without_its_server(dead_fuse: str) -> None:
    fd = os.open(dead_fuse, os.O_PATH)
    try:
        assert cached_status(fd).inode == 1
    finally:
        os.close(fd)
    with pytest.raises(OSError, match="not a namespace file"):
        netns.from_path(dead_fuse)


def test_all_namespaces_are_found(dead_fuse: str, modprobe: Callable[..., None]) -> None:
    modprobe("rds")
    done = subprocess.run(
        [*ARGV, "rds-info", "--all-netns", "-o", "json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["errors"] == []


def test_what_hangs_all_the_same_is_left_behind(dead_fuse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every file system answers from its cache: what comes after such a file is found."""
    own = netns.current()
    look = netns.from_path_or_none

    def ask_the_server(path: str) -> netns.Netns | None:
        if path == dead_fuse:
            os.stat(path)
        return look(path)

    monkeypatch.setattr(netns, "from_path_or_none", ask_the_server)
    found = list(netns.list_foreign([dead_fuse, f"/proc/{os.getpid()}/ns/net"]))
    assert [space.identity for space in found] == [own.identity]
