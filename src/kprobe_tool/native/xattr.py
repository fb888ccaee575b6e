# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/xattr.h: setxattrat(2)."""

from __future__ import annotations

import ctypes

from kprobe_tool.native.prober import Call, Memory
from kprobe_tool.native.records import struct_fields
from kprobe_tool.native.syscall import BADPTR

XATTR_CREATE = 0x1
XATTR_REPLACE = 0x2


class xattr_args(ctypes.Structure):
    """linux/xattr.h, 16 bytes since Linux v6.13."""

    _fields_ = (("value", ctypes.c_uint64), ("size", ctypes.c_uint32), ("flags", ctypes.c_uint32))


LAYOUT = struct_fields(xattr_args)
SIZE_VER0 = 16


def setxattrat(args: bytes | None = None, *, flags: int = 0, at_flags: int = 0, usize: int | None = None) -> Call:
    """setxattrat(-1, BADPTR, at_flags, BADPTR, &args, usize): no file, and an attribute without a name."""
    memory = bytes(xattr_args(flags=flags)) if args is None else args
    size = len(memory) if usize is None else usize
    return Call("setxattrat", (-1, BADPTR, at_flags, BADPTR, Memory(memory), size))
