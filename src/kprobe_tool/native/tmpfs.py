# SPDX-License-Identifier: GPL-2.0-or-later
"""fsopen(2), fsconfig(2), fsmount(2): a file system in memory that is mounted nowhere."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kprobe_tool.native.libc import oserror
from kprobe_tool.native.syscall import call

# linux/mount.h
FSOPEN_CLOEXEC = 0x00000001
FSMOUNT_CLOEXEC = 0x00000001
FSCONFIG_CMD_CREATE = 6


@contextmanager
def detached_tmpfs() -> Iterator[Path]:
    """A directory that only this process's descriptor leads to, and that goes with it, also by ``kill -9``.

    No mount namespace has it (Linux kernel commit 93766fbd2696 ("vfs: syscall: Add fsmount() to create a mount for a
    superblock") (in v5.2)). Raises OSError: EPERM without CAP_SYS_ADMIN.
    """
    kind = ctypes.create_string_buffer(b"tmpfs")
    context = descriptor("fsopen", ctypes.addressof(kind), FSOPEN_CLOEXEC, shown=(b"tmpfs", FSOPEN_CLOEXEC))
    try:
        descriptor("fsconfig", context, FSCONFIG_CMD_CREATE)
        directory = descriptor("fsmount", context, FSMOUNT_CLOEXEC)
    finally:
        os.close(context)
    try:
        yield Path(f"/proc/self/fd/{directory}")
    finally:
        os.close(directory)


def descriptor(name: str, *args: int, shown: tuple[int | bytes, ...] = ()) -> int:
    """What a call gives, where that is not an error. Raises OSError."""
    answer = call(name, *args, shown=shown)
    if answer < 0:
        oserror(name, needs="CAP_SYS_ADMIN")
    return answer
