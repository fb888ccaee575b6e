# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/stat.h: the status of a file as the kernel has it cached, without asking a server that may be dead."""

from __future__ import annotations

import ctypes
import os
from ctypes import c_uint16, c_uint32, c_uint64
from typing import NamedTuple

from kprobe_tool.native.libc import libc, oserror

# linux/fcntl.h
AT_EMPTY_PATH = 0x1000
AT_STATX_DONT_SYNC = 0x4000
# linux/stat.h
STATX_BASIC_STATS = 0x7FF


class statx_timestamp(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_int64), ("tv_nsec", c_uint32), ("__reserved", ctypes.c_int32))


class statx(ctypes.Structure):
    """256 bytes, of which the end is not declared field by field."""

    _fields_ = (
        ("stx_mask", c_uint32),
        ("stx_blksize", c_uint32),
        ("stx_attributes", c_uint64),
        ("stx_nlink", c_uint32),
        ("stx_uid", c_uint32),
        ("stx_gid", c_uint32),
        ("stx_mode", c_uint16),
        ("__spare0", c_uint16),
        ("stx_ino", c_uint64),
        ("stx_size", c_uint64),
        ("stx_blocks", c_uint64),
        ("stx_attributes_mask", c_uint64),
        ("stx_atime", statx_timestamp),
        ("stx_btime", statx_timestamp),
        ("stx_ctime", statx_timestamp),
        ("stx_mtime", statx_timestamp),
        ("stx_rdev_major", c_uint32),
        ("stx_rdev_minor", c_uint32),
        ("stx_dev_major", c_uint32),
        ("stx_dev_minor", c_uint32),
        ("__rest", c_uint64 * 14),
    )


libc.statx.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(statx))


class FileStatus(NamedTuple):
    """What identifies a file, and what kind it is (``st_mode``)."""

    dev: int
    inode: int
    mode: int


def cached_status(fd: int) -> FileStatus:
    """statx(2) of an open file from what the kernel has cached: fstat(2) of one on a dead FUSE or NFS mount waits
    for its server, for ever. Raises OSError."""
    found = statx()
    if libc.statx(fd, b"", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, ctypes.byref(found)) < 0:
        oserror("statx(2)")
    return FileStatus(os.makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino, found.stx_mode)
