# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/pidfd.h: PIDFD_GET_INFO. And what another process has open."""

from __future__ import annotations

import ctypes

from kprobe_tool.native import syscall
from kprobe_tool.native.libc import oserror
from kprobe_tool.native.prober import Call, Memory
from kprobe_tool.native.records import struct_fields


class pidfd_info(ctypes.Structure):
    """linux/pidfd.h, 88 bytes as of Linux v7.3."""

    _fields_ = (
        ("mask", ctypes.c_uint64),
        ("cgroupid", ctypes.c_uint64),
        ("pid", ctypes.c_uint32),
        ("tgid", ctypes.c_uint32),
        ("ppid", ctypes.c_uint32),
        ("ruid", ctypes.c_uint32),
        ("rgid", ctypes.c_uint32),
        ("euid", ctypes.c_uint32),
        ("egid", ctypes.c_uint32),
        ("suid", ctypes.c_uint32),
        ("sgid", ctypes.c_uint32),
        ("fsuid", ctypes.c_uint32),
        ("fsgid", ctypes.c_uint32),
        ("exit_code", ctypes.c_int32),
        ("coredump_mask", ctypes.c_uint32),
        ("coredump_signal", ctypes.c_uint32),
        ("coredump_code", ctypes.c_uint32),
        ("coredump_pad", ctypes.c_uint32),
        ("supported_mask", ctypes.c_uint64),
    )


LAYOUT = struct_fields(pidfd_info)
SIZE_VER0 = 64

PIDFS_IOCTL_MAGIC = 0xFF
PIDFD_INFO_SUPPORTED_MASK = 1 << 5


def get_info_command(size: int) -> int:
    """PIDFD_GET_INFO: _IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info), of any size of that struct."""
    return 3 << 30 | size << 16 | PIDFS_IOCTL_MAGIC << 8 | 11


def pidfd_open(pid: int) -> Call:
    """A pidfd in the process that makes the call, and for as long as that lives."""
    return Call("pidfd_open", (pid, 0))


def get_info(pidfd: int, size: int, mask: int) -> Call:
    """ioctl(pidfd, PIDFD_GET_INFO, &info) with ``mask`` asked for."""
    return Call(
        "ioctl", (pidfd, get_info_command(size), Memory(bytes(pidfd_info(mask=mask)).ljust(size, b"\0")[:size]))
    )


def masks(memory: bytes) -> tuple[int, int]:
    """(mask, supported_mask) of the answer; the second means something with its bit in the first."""
    info = pidfd_info.from_buffer_copy(memory.ljust(ctypes.sizeof(pidfd_info), b"\0"))
    return int(info.mask), int(info.supported_mask)


def getfd(pidfd: int, fd: int) -> int:
    """pidfd_getfd(2): a copy of what another process has open.

    Raises OSError: EBADF (it has no such descriptor), ESRCH (it is gone).
    """
    copy = syscall.call("pidfd_getfd", pidfd, fd, 0)
    if copy < 0:
        oserror("pidfd_getfd(2)", needs="CAP_SYS_PTRACE", on=f"file descriptor {fd}")
    return copy
