# SPDX-License-Identifier: GPL-2.0-or-later
"""Control groups by the id that BPF programs see: the inode number in the version 2 hierarchy."""

from __future__ import annotations

import ctypes
import os

from kprobe_tool.native.libc import libc, oserror
from kprobe_tool.native.procfs import unescape_mount

FILEID_KERNFS = 0xFE
"""linux/exportfs.h: the handle is a u64, the id."""


class file_handle(ctypes.Structure):
    """fcntl.h, with room for what FILEID_KERNFS takes."""

    _fields_ = (
        ("handle_bytes", ctypes.c_uint),
        ("handle_type", ctypes.c_int),
        ("id", ctypes.c_uint64),
    )


def mount_point() -> str | None:
    """Where the version 2 hierarchy is mounted (fs/proc_namespace.c, show_mountinfo())."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="backslashreplace") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if right.split(" ", 1)[0] == "cgroup2":
                return unescape_mount(left.split()[4])
    return None


def path_of(cgroup: int, mount: str) -> str:
    """The path of a control group below ``mount``, ``/`` for the root. Raises OSError (ESTALE: it is gone)."""
    directory = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        handle = file_handle(8, FILEID_KERNFS, cgroup)
        fd = libc.open_by_handle_at(directory, ctypes.byref(handle), os.O_PATH | os.O_CLOEXEC)
        if fd < 0:
            oserror("open_by_handle_at(2)", needs="CAP_DAC_READ_SEARCH", on=mount)
        try:
            return os.readlink(f"/proc/self/fd/{fd}").removeprefix(mount.rstrip("/")) or "/"
        finally:
            os.close(fd)
    finally:
        os.close(directory)
