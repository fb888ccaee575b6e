# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/mount.h: mount_setattr(2), statmount(2), listmount(2)."""

from __future__ import annotations

import ctypes

from kprobe_tool.native.prober import Call, Memory
from kprobe_tool.native.records import struct_fields
from kprobe_tool.native.syscall import BADPTR

# linux/fcntl.h
AT_SYMLINK_NOFOLLOW = 0x100
AT_NO_AUTOMOUNT = 0x800
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

MOUNT_ATTR_RDONLY = 0x00000001
MOUNT_ATTR_NOSUID = 0x00000002
MOUNT_ATTR_NODEV = 0x00000004
MOUNT_ATTR_NOEXEC = 0x00000008
MOUNT_ATTR__ATIME = 0x00000070
MOUNT_ATTR_NOATIME = 0x00000010
MOUNT_ATTR_STRICTATIME = 0x00000020
MOUNT_ATTR_NODIRATIME = 0x00000080
MOUNT_ATTR_IDMAP = 0x00100000
MOUNT_ATTR_NOSYMFOLLOW = 0x00200000

# uapi/linux/mount.h
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20

STATMOUNT_SUPPORTED_MASK = 0x1000
LSMT_ROOT = 2**64 - 1

BAD_FD = 0x7FFFFFFF


class mount_attr(ctypes.Structure):
    """linux/mount.h, 32 bytes since Linux v5.12."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class mnt_id_req(ctypes.Structure):
    """linux/mount.h, 32 bytes since Linux v6.11. mnt_ns_fd was ``spare`` before v6.18."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("mnt_ns_fd", ctypes.c_uint32),
        ("mnt_id", ctypes.c_uint64),
        ("param", ctypes.c_uint64),
        ("mnt_ns_id", ctypes.c_uint64),
    )


class statmount(ctypes.Structure):
    """linux/mount.h, as of Linux v6.15; spare fields and strings follow."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("mnt_opts", ctypes.c_uint32),
        ("mask", ctypes.c_uint64),
        ("sb_dev_major", ctypes.c_uint32),
        ("sb_dev_minor", ctypes.c_uint32),
        ("sb_magic", ctypes.c_uint64),
        ("sb_flags", ctypes.c_uint32),
        ("fs_type", ctypes.c_uint32),
        ("mnt_id", ctypes.c_uint64),
        ("mnt_parent_id", ctypes.c_uint64),
        ("mnt_id_old", ctypes.c_uint32),
        ("mnt_parent_id_old", ctypes.c_uint32),
        ("mnt_attr", ctypes.c_uint64),
        ("mnt_propagation", ctypes.c_uint64),
        ("mnt_peer_group", ctypes.c_uint64),
        ("mnt_master", ctypes.c_uint64),
        ("propagate_from", ctypes.c_uint64),
        ("mnt_root", ctypes.c_uint32),
        ("mnt_point", ctypes.c_uint32),
        ("mnt_ns_id", ctypes.c_uint64),
        ("fs_subtype", ctypes.c_uint32),
        ("sb_source", ctypes.c_uint32),
        ("opt_num", ctypes.c_uint32),
        ("opt_array", ctypes.c_uint32),
        ("opt_sec_num", ctypes.c_uint32),
        ("opt_sec_array", ctypes.c_uint32),
        ("supported_mask", ctypes.c_uint64),
        ("mnt_uidmap_num", ctypes.c_uint32),
        ("mnt_uidmap", ctypes.c_uint32),
        ("mnt_gidmap_num", ctypes.c_uint32),
        ("mnt_gidmap", ctypes.c_uint32),
    )


STATMOUNT_ROOM = 65536
"""Enough for the struct and for any mount's strings that one would meet."""

MOUNT_ATTR_LAYOUT = struct_fields(mount_attr)
MNT_ID_REQ_LAYOUT = struct_fields(mnt_id_req)
MOUNT_ATTR_SIZE_VER0 = 32
MNT_ID_REQ_SIZE_VER0 = 24


def mount_setattr(
    attr: bytes | None = None,
    *,
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    at_flags: int = 0,
    usize: int | None = None,
) -> Call:
    """mount_setattr(-1, BADPTR, at_flags, &attr, usize): there is no mount to change at a bad pointer."""
    if attr is None:
        attr = bytes(mount_attr(attr_set, attr_clr, propagation, BAD_FD))
    return Call("mount_setattr", (-1, BADPTR, at_flags, Memory(attr), len(attr) if usize is None else usize))


def statmount_call(req: bytes | None, flags: int = 0, room: int = 0) -> Call:
    """statmount() of a request of any kind, or of a bad pointer; ``room`` bytes for the answer."""
    memory: int | Memory = BADPTR if req is None else Memory(req)
    return Call("statmount", (memory, Memory(bytes(room)), room, flags))


def listmount_call(req: bytes | None, flags: int = 0, room: int = 1) -> Call:
    """listmount() of a request of any kind, or of a bad pointer; ``room`` ids for the answer."""
    memory: int | Memory = BADPTR if req is None else Memory(req)
    return Call("listmount", (memory, Memory(bytes(8 * room)), room, flags))


def mnt_id_req_head(size: int) -> bytes:
    """The start of a mnt_id_req of ``size`` bytes for mount 0, which there never is."""
    return bytes(mnt_id_req(size=size))


def mnt_id_request(mnt_id: int, param: int = 0) -> bytes:
    """A first-version request, which every kernel understands."""
    req = mnt_id_req(size=MNT_ID_REQ_SIZE_VER0, mnt_id=mnt_id, param=param)
    return bytes(req)[:MNT_ID_REQ_SIZE_VER0]


def first_id(memory: bytes) -> int:
    """The first mount id of a listmount() answer."""
    return int(ctypes.c_uint64.from_buffer_copy(memory).value)


def statmount_masks(memory: bytes) -> tuple[int, int]:
    """(mask, supported_mask) of a statmount() answer; the second means something with its bit in the first."""
    answer = statmount.from_buffer_copy(memory)
    return int(answer.mask), int(answer.supported_mask)
