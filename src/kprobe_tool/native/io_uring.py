# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/io_uring/query.h: what io_uring says of itself, without a ring (since Linux v6.18)."""

from __future__ import annotations

import ctypes

from kprobe_tool.native.prober import Call, Memory
from kprobe_tool.native.records import StructField, struct_fields

# linux/io_uring.h
IORING_REGISTER_QUERY = 35

IORING_REGISTER_BUFFERS = 0
NO_RING = -2
"""No file descriptor; -1 means: without a ring."""

IO_URING_QUERY_OPCODES = 0


class io_uring_query_hdr(ctypes.Structure):
    """linux/io_uring/query.h, 40 bytes."""

    _fields_ = (
        ("next_entry", ctypes.c_uint64),
        ("query_data", ctypes.c_uint64),
        ("query_op", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("result", ctypes.c_int32),
        ("__resv", ctypes.c_uint32 * 3),
    )


class io_uring_query_opcode(ctypes.Structure):
    """linux/io_uring/query.h, 48 bytes as of Linux v7.3."""

    _fields_ = (
        ("nr_request_opcodes", ctypes.c_uint32),
        ("nr_register_opcodes", ctypes.c_uint32),
        ("feature_flags", ctypes.c_uint64),
        ("ring_setup_flags", ctypes.c_uint64),
        ("enter_flags", ctypes.c_uint64),
        ("sqe_flags", ctypes.c_uint64),
        ("nr_query_opcodes", ctypes.c_uint32),
        ("__pad", ctypes.c_uint32),
    )


LAYOUT: tuple[StructField, ...] = struct_fields(io_uring_query_opcode)


def register_buffers() -> Call:
    """IORING_REGISTER_BUFFERS of a ring that there is not: EBADF, since Linux v5.1."""
    return Call("io_uring_register", (NO_RING, IORING_REGISTER_BUFFERS, 0, 0))


def query(size: int) -> Call:
    """IORING_REGISTER_QUERY of IO_URING_QUERY_OPCODES into ``size`` bytes."""
    header = io_uring_query_hdr(query_op=IO_URING_QUERY_OPCODES, size=size)
    pointer = (io_uring_query_hdr.query_data.offset, bytes(size))
    return Call("io_uring_register", (-1, IORING_REGISTER_QUERY, Memory(bytes(header), (pointer,)), 0))


def query_result(header: bytes) -> tuple[int, int]:
    """(result, size): 0 or a negative errno, and how many bytes the kernel has to say."""
    answer = io_uring_query_hdr.from_buffer_copy(header)
    return int(answer.result), int(answer.size)


def numbers(data: bytes) -> dict[str, int]:
    """The answer to IO_URING_QUERY_OPCODES by field name."""
    answer = io_uring_query_opcode.from_buffer_copy(data)
    return {place.name: int(getattr(answer, place.name)) for place in LAYOUT}
