# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/landlock.h: landlock_create_ruleset(2)."""

from __future__ import annotations

import ctypes

from kprobe_tool.native.prober import Call, Memory
from kprobe_tool.native.records import struct_fields

LANDLOCK_CREATE_RULESET_VERSION = 1


class landlock_ruleset_attr(ctypes.Structure):
    """linux/landlock.h, 48 bytes since ABI 10."""

    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
        ("quiet_access_fs", ctypes.c_uint64),
        ("quiet_access_net", ctypes.c_uint64),
        ("quiet_scoped", ctypes.c_uint64),
    )


LAYOUT = struct_fields(landlock_ruleset_attr)
SIZE_VER0 = 8


def version() -> Call:
    """Answers the ABI number and makes nothing."""
    return Call("landlock_create_ruleset", (0, 0, LANDLOCK_CREATE_RULESET_VERSION))


def create_ruleset(attr: bytes, usize: int, flags: int = 0) -> Call:
    """landlock_create_ruleset(&attr, usize, flags)."""
    return Call("landlock_create_ruleset", (Memory(attr), usize, flags), opens=True)
