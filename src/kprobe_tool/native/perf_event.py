# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/perf_event.h: perf_event_open(2)."""

from __future__ import annotations

import ctypes
from sys import byteorder

from kprobe_tool.native.prober import Call, Memory
from kprobe_tool.native.records import struct_fields


class perf_event_attr(ctypes.Structure):
    """linux/perf_event.h, 144 bytes as of Linux v7.3. ``bits`` are its 64 one-bit fields, see one_bit_fields()."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("config", ctypes.c_uint64),
        ("sample_period", ctypes.c_uint64),
        ("sample_type", ctypes.c_uint64),
        ("read_format", ctypes.c_uint64),
        ("bits", ctypes.c_uint64),
        ("wakeup_events", ctypes.c_uint32),
        ("bp_type", ctypes.c_uint32),
        ("config1", ctypes.c_uint64),
        ("config2", ctypes.c_uint64),
        ("branch_sample_type", ctypes.c_uint64),
        ("sample_regs_user", ctypes.c_uint64),
        ("sample_stack_user", ctypes.c_uint32),
        ("clockid", ctypes.c_int32),
        ("sample_regs_intr", ctypes.c_uint64),
        ("aux_watermark", ctypes.c_uint32),
        ("sample_max_stack", ctypes.c_uint16),
        ("__reserved_2", ctypes.c_uint16),
        ("aux_sample_size", ctypes.c_uint32),
        ("aux_action", ctypes.c_uint32),
        ("sig_data", ctypes.c_uint64),
        ("config3", ctypes.c_uint64),
        ("config4", ctypes.c_uint64),
    )


LAYOUT = struct_fields(perf_event_attr)
SIZE_VER0 = 64

PERF_TYPE_SOFTWARE = 1
PERF_COUNT_SW_DUMMY = 9

PERF_SAMPLE_BRANCH_STACK = 1 << 11
PERF_SAMPLE_REGS_USER = 1 << 12
PERF_SAMPLE_REGS_INTR = 1 << 18
PERF_SAMPLE_BRANCH_ANY = 1 << 3

# The one-bit fields by number, in their order from ``disabled``; 15 and 16 are precise_ip.
EXCLUDE_KERNEL = 1 << 5
INHERIT = 1 << 1
REMOVE_ON_EXEC = 1 << 36

NO_GROUP = 0x7FFFFFFE
"""No file descriptor: EBADF, after the whole attr was judged and before there is an event."""


def one_bit_fields(fields: int, order: str = byteorder) -> int:
    """``bits`` with these of its fields, given as a mask in which ``disabled`` is bit 0: C gives the first field the
    lowest bit on a little-endian machine, and the highest on a big-endian one."""
    return fields if order == "little" else int(f"{fields:064b}"[::-1], 2)


def perf_event_open(
    size: int, *, bits: int = 0, sample_type: int = 0, read_format: int = 0, branch_sample_type: int = 0
) -> Call:
    """A software event that counts nothing, asked for in a group that does not exist.

    ``bits`` are the one-bit fields, as one_bit_fields() takes them.
    """
    attr = perf_event_attr(
        type=PERF_TYPE_SOFTWARE,
        size=size,
        config=PERF_COUNT_SW_DUMMY,
        sample_type=sample_type,
        read_format=read_format,
        bits=one_bit_fields(bits | EXCLUDE_KERNEL),
        branch_sample_type=branch_sample_type,
        # Bit 0 is a register on every architecture; without one the REGS samples are refused.
        sample_regs_user=1 if sample_type & PERF_SAMPLE_REGS_USER else 0,
        sample_regs_intr=1 if sample_type & PERF_SAMPLE_REGS_INTR else 0,
    )
    return Call("perf_event_open", (Memory(bytes(attr)), 0, -1, NO_GROUP, 0), opens=True)


def perf_event_open_bad_flags() -> Call:
    """All flags set: EINVAL before anything else is looked at."""
    return Call("perf_event_open", (Memory(bytes(perf_event_attr())), 0, -1, NO_GROUP, -1), opens=True)


def size_of(memory: bytes) -> int:
    """The ``size`` field, where the kernel writes its own."""
    return int(perf_event_attr.from_buffer_copy(memory).size)
