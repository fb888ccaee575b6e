# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/openat2.h and asm/fcntl.h: openat2(2)."""

from __future__ import annotations

import ctypes
import os

from kprobe_tool.native.prober import Call, Memory
from kprobe_tool.native.records import struct_fields
from kprobe_tool.native.syscall import BADPTR, machine_name


class open_how(ctypes.Structure):
    """linux/openat2.h, 24 bytes since Linux v5.6."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


LAYOUT = struct_fields(open_how)
SIZE_VER0 = 24


def o_largefile(machine: str) -> int:
    """asm/fcntl.h: the C library defines it as 0 where off_t always has 64 bits."""
    if machine.startswith(("arm", "aarch64")):
        return 0o400000
    if machine.startswith("ppc"):
        return 0o200000
    return 0o20000 if machine.startswith("mips") else 0o100000


# asm/fcntl.h: architectures differ, and Python has what this one was built with.
O_FLAGS = {
    "O_WRONLY": os.O_WRONLY,
    "O_RDWR": os.O_RDWR,
    "O_CREAT": os.O_CREAT,
    "O_EXCL": os.O_EXCL,
    "O_NOCTTY": os.O_NOCTTY,
    "O_TRUNC": os.O_TRUNC,
    "O_APPEND": os.O_APPEND,
    "O_NONBLOCK": os.O_NONBLOCK,
    "O_DSYNC": os.O_DSYNC,
    "O_ASYNC": os.O_ASYNC,
    "O_DIRECT": os.O_DIRECT,
    "O_LARGEFILE": o_largefile(machine_name()),
    "O_DIRECTORY": os.O_DIRECTORY,
    "O_NOFOLLOW": os.O_NOFOLLOW,
    "O_NOATIME": os.O_NOATIME,
    "O_CLOEXEC": os.O_CLOEXEC,
    "__O_SYNC": os.O_SYNC & ~os.O_DSYNC,
    "O_PATH": os.O_PATH,
    "__O_TMPFILE": os.O_TMPFILE & ~os.O_DIRECTORY,
}
O_EMPTYPATH = 1 << 26
OPENAT2_REGULAR = 1 << 32

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
RESOLVE_CACHED = 0x20


def openat2(
    how: bytes | None = None,
    *,
    flags: int = 0,
    mode: int = 0,
    resolve: int = 0,
    usize: int | None = None,
    path: bytes | None = None,
) -> Call:
    """openat2(-1, path, &how, usize), or &how from its fields; without a path it is a bad pointer.

    Nothing can be opened: there is no directory -1, and a bad pointer names no file.
    """
    memory = bytes(open_how(flags, mode, resolve)) if how is None else how
    name: int | Memory = BADPTR if path is None else Memory(path + b"\0")
    return Call("openat2", (-1, name, Memory(memory), len(memory) if usize is None else usize), opens=True)
