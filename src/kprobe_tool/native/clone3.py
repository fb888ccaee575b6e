# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/sched.h: clone3(2)."""

from __future__ import annotations

import ctypes
import os

from kprobe_tool.native.prober import Call, Memory
from kprobe_tool.native.records import struct_fields
from kprobe_tool.native.sched import CLONE_VM


class clone_args(ctypes.Structure):
    """linux/sched.h, 88 bytes since Linux v5.7."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("pidfd", ctypes.c_uint64),
        ("child_tid", ctypes.c_uint64),
        ("parent_tid", ctypes.c_uint64),
        ("exit_signal", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("stack_size", ctypes.c_uint64),
        ("tls", ctypes.c_uint64),
        ("set_tid", ctypes.c_uint64),
        ("set_tid_size", ctypes.c_uint64),
        ("cgroup", ctypes.c_uint64),
    )


LAYOUT = struct_fields(clone_args)
SIZE_VER0 = 64
SIZE_VER1 = 80
SIZE_VER2 = 88

BAD_PIDFD = 2**64 - 1
"""No memory to write a pidfd to: EFAULT, after all flags were judged."""

BAD_CGROUP = 0x7FFFFFFF
"""No such file descriptor (INT_MAX is the largest number that clone3 takes): EBADF."""

NO_STACK = 4096
"""Below vm.mmap_min_addr or unmapped: a child that shared our memory would die of its first access to the stack."""


def clone3(flags: int, size: int, exit_signal: int = 0) -> Call:
    """clone3() of ``size`` bytes of clone_args with every reason to fail that this size has room for.

    set_tid asks for pid 1, which every pid namespace has: EEXIST, or EPERM without CAP_CHECKPOINT_RESTORE. The pidfd
    has nowhere to go, the cgroup does not exist; these two count only with their flags set.
    """
    args = clone_args(flags=flags, pidfd=BAD_PIDFD, exit_signal=exit_signal, cgroup=BAD_CGROUP)
    if flags & CLONE_VM:
        args.stack, args.stack_size = NO_STACK, NO_STACK
    pointers: tuple[tuple[int, bytes], ...] = ()
    if size >= SIZE_VER1:
        args.set_tid_size = 1
        pointers = ((clone_args.set_tid.offset, bytes(ctypes.c_int32(1))),)
    return Call("clone3", (Memory(bytes(args)[:size], pointers), size), forks=True)


def clone3_raw(memory: bytes, usize: int) -> Call:
    """clone3() of anything that is no valid clone_args."""
    return Call("clone3", (Memory(memory), usize), forks=True)


def has_namespace(kind: str) -> bool:
    """Whether this kernel has a kind of namespaces (``time``), by /proc/self/ns.

    The directory can be searched by every process, but not listed by one that gave up privileges. Raises OSError,
    also where it is not there: without /proc nothing is known.
    """
    os.stat("/proc/self/ns")
    try:
        os.lstat(f"/proc/self/ns/{kind}")
    except FileNotFoundError:
        return False
    return True
