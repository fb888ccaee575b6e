# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces: by which names they are found, and code that runs inside another one."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from ..skips import skip
from .test_host import ARGV


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("/etc/passwd", "not a namespace file (EINVAL)"),
        ("/proc/self/ns/mnt", "not a network namespace (EINVAL)"),
        ("/dev/null", "not a namespace file (EINVAL)"),
        ("/", "not a namespace file (EINVAL)"),
        ("/no/such", "ENOENT"),
        ("4194303", "no such process (ESRCH)"),
        ("99999999999", "ENOENT"),
        ("net:[99]", "ENOENT"),
        ("", "ENOENT"),
        ("..", "ENOENT"),
        ("a\0b", "holds a NUL"),
        ("x" * 5000, "ENAMETOOLONG"),
    ],
)
def test_what_is_no_network_namespace_is_refused(spec: str, words: str) -> None:
    from kprobe_tool.errors import Error
    from kprobe_tool.probes.namespaces import resolve

    with pytest.raises(Error) as caught:
        resolve(spec)
    assert words in str(caught.value)


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    done = subprocess.run(
        [*ARGV, "rds-info", "--netns", str(tmp_path / "fifo")],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "not a namespace file (EINVAL)" in done.stderr


def test_the_own_namespace_is_found_by_every_name() -> None:
    from kprobe_tool.probes.namespaces import current, resolve

    here = current()
    for spec in (str(os.getpid()), "/proc/self/ns/net", str(here.inode), f"net:[{here.inode}]"):
        assert resolve(spec).identity == here.identity


def test_every_namespace_is_found_once() -> None:
    from kprobe_tool.probes.namespaces import current, find_all

    spaces, _ = find_all()
    assert spaces[0].identity == current().identity
    assert len({space.identity for space in spaces}) == len(spaces)


def test_call_inside_runs_in_the_other_namespace_and_comes_back() -> None:
    if os.geteuid() != 0:
        skip("making a network namespace needs root")
    from kprobe_tool.native import netns, sched

    outside = os.readlink("/proc/thread-self/ns/net")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        sched.die_with_parent()
        sched.unshare(sched.CLONE_NEWNET)
        os.write(writer, b"x")
        os.close(writer)
        signal.pause()
    os.read(reader, 1)
    try:
        space = netns.from_path(f"/proc/{pid}/ns/net", pid=pid)
        seen = netns.call_inside(space, lambda: os.readlink("/proc/thread-self/ns/net"))
        assert seen == f"net:[{space.inode}]" != outside
        assert os.readlink("/proc/thread-self/ns/net") == outside
        with pytest.raises(ZeroDivisionError):
            netns.call_inside(space, lambda: 1 // 0)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    with pytest.raises(FileNotFoundError):
        netns.call_inside(space, os.getpid)
