# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/fs.h: file_setattr(2)."""

from __future__ import annotations

import ctypes

from kprobe_tool.native.prober import Call, Memory
from kprobe_tool.native.records import struct_fields
from kprobe_tool.native.syscall import BADPTR


class file_attr(ctypes.Structure):
    """linux/fs.h, 24 bytes since Linux v6.17."""

    _fields_ = (
        ("fa_xflags", ctypes.c_uint64),
        ("fa_extsize", ctypes.c_uint32),
        ("fa_nextents", ctypes.c_uint32),
        ("fa_projid", ctypes.c_uint32),
        ("fa_cowextsize", ctypes.c_uint32),
    )


LAYOUT = struct_fields(file_attr)
SIZE_VER0 = 24


def file_setattr(attr: bytes | None = None, *, xflags: int = 0, at_flags: int = 0, usize: int | None = None) -> Call:
    """file_setattr(-1, BADPTR, &attr, usize, at_flags): there is no file to change at a bad pointer."""
    memory = bytes(file_attr(fa_xflags=xflags)) if attr is None else attr
    size = len(memory) if usize is None else usize
    return Call("file_setattr", (-1, BADPTR, Memory(memory), size, at_flags))
