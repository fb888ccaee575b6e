# SPDX-License-Identifier: GPL-2.0-or-later
"""A command in a user namespace to which all of BPF is delegated: python -m tests.libbpf.container COMMAND...

As a container's manager does it: the BPF file system is the container's, what is delegated in it is said by the
manager (kernel/bpf/inode.c, bpf_parse_param(), since Linux v6.9). It is mounted at /sys/fs/bpf, in a mount namespace
that ends with the command.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from pathlib import Path

from kprobe_tool.native import sched
from kprobe_tool.native.libc import libc, oserror
from kprobe_tool.native.tmpfs import FSCONFIG_CMD_CREATE, FSOPEN_CLOEXEC, descriptor

# asm/unistd.h, fcntl.h, linux/mount.h, linux/sched.h
MOVE_MOUNT, AT_FDCWD, MOVE_MOUNT_F_EMPTY_PATH = 429, -100, 4
FSCONFIG_SET_STRING = 1
CLONE_NEWNS = 0x00020000
DELEGATED = ("delegate_cmds", "delegate_maps", "delegate_progs", "delegate_attachs")


def delegate(pid: int, manager: socket.socket) -> None:
    """Make this process root of the namespace that it is in, and send it the file system that it has opened."""
    manager.recv(1)
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{name}").write_text("0 0 1\n")
    manager.send(b".")
    _, (context,), *_ = socket.recv_fds(manager, 1, 1)
    for option in DELEGATED:
        key, value = ctypes.create_string_buffer(option.encode()), ctypes.create_string_buffer(b"any")
        descriptor("fsconfig", context, FSCONFIG_SET_STRING, ctypes.addressof(key), ctypes.addressof(value))
    descriptor("fsconfig", context, FSCONFIG_CMD_CREATE)
    socket.send_fds(manager, [b"."], [descriptor("fsmount", context)])


def enter(container: socket.socket) -> None:
    """Be in a user namespace, with such a file system at /sys/fs/bpf."""
    sched.unshare(sched.CLONE_NEWUSER | CLONE_NEWNS)
    container.send(b".")
    container.recv(1)
    kind = ctypes.create_string_buffer(b"bpf")
    context = descriptor("fsopen", ctypes.addressof(kind), FSOPEN_CLOEXEC)
    socket.send_fds(container, [b"."], [context])
    _, (directory,), *_ = socket.recv_fds(container, 1, 1)
    if libc.syscall(MOVE_MOUNT, directory, b"", AT_FDCWD, b"/sys/fs/bpf", MOVE_MOUNT_F_EMPTY_PATH):
        oserror("move_mount")
    os.close(directory)


def main() -> int:
    manager, container = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        manager.close()
        enter(container)
        os.execvp(sys.argv[1], sys.argv[1:])
    container.close()
    delegate(pid, manager)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
