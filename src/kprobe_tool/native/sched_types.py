# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/sched/types.h and linux/sched.h: sched_setattr(2), sched_getattr(2)."""

from __future__ import annotations

import ctypes

from kprobe_tool.native.prober import Call, Memory
from kprobe_tool.native.records import struct_fields


class sched_attr(ctypes.Structure):
    """linux/sched/types.h, 48 bytes since Linux v3.14, 56 since v5.3."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("sched_policy", ctypes.c_uint32),
        ("sched_flags", ctypes.c_uint64),
        ("sched_nice", ctypes.c_int32),
        ("sched_priority", ctypes.c_uint32),
        ("sched_runtime", ctypes.c_uint64),
        ("sched_deadline", ctypes.c_uint64),
        ("sched_period", ctypes.c_uint64),
        ("sched_util_min", ctypes.c_uint32),
        ("sched_util_max", ctypes.c_uint32),
    )


LAYOUT = struct_fields(sched_attr)
SIZE_VER0 = 48
SIZE_VER1 = 56

SCHED_FLAG_KEEP_POLICY = 0x08
SCHED_FLAG_KEEP_PARAMS = 0x10
SCHED_FLAG_UTIL_CLAMP_MIN = 0x20
SCHED_FLAG_UTIL_CLAMP_MAX = 0x40

BAD_UTIL = 5000
"""More than SCHED_CAPACITY_SCALE (1024): never a valid clamp."""


def sched_setattr(size: int, flags: int = 0) -> Call:
    """sched_setattr(0, &attr, 0) of the calling process, claiming ``size`` bytes."""
    attr = sched_attr(size=size, sched_flags=flags, sched_util_min=BAD_UTIL, sched_util_max=BAD_UTIL)
    return Call("sched_setattr", (0, Memory(bytes(attr)), 0))


def sched_setattr_without_attr() -> Call:
    """sched_setattr(0, NULL, 0): EINVAL before anything else is looked at."""
    return Call("sched_setattr", (0, 0, 0))


def sched_getattr(memory: bytes, size: int) -> Call:
    """sched_getattr(0, memory, size, 0) of the calling process."""
    return Call("sched_getattr", (0, Memory(memory), size, 0))


def size_of(memory: bytes) -> int:
    """The ``size`` field, where the kernel writes its own."""
    return int(ctypes.c_uint32.from_buffer_copy(memory).value)
