# SPDX-License-Identifier: GPL-2.0-or-later
"""What /proc says of this process."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from kprobe_tool.native import procfs


def test_this_process_holds_its_socket() -> None:
    with socket.socket(socket.AF_UNIX) as mine:
        inode = os.fstat(mine.fileno()).st_ino
        holders = procfs.socket_holders({inode, 1})
    assert os.getpid() in {process.pid for process in holders[inode]}
    assert 1 not in holders
    assert procfs.socket_holders(set()) == {}


def test_a_process_has_its_name_and_namespace() -> None:
    assert os.getpid() in procfs.pids()
    process = procfs.process(os.getpid())
    assert process.comm == Path("/proc/self/comm").read_text(encoding="utf-8").rstrip("\n")
    assert process.netns == os.stat("/proc/self/ns/net").st_ino


def test_a_process_that_is_gone_has_no_files() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    assert list(procfs.fd_targets(child)) == []


def test_paths_of_mounts_are_unescaped() -> None:
    assert procfs.unescape_mount(r"/a\040b\011\134x") == "/a b\t\\x"
