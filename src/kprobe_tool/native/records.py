# SPDX-License-Identifier: GPL-2.0-or-later
"""How every kernel structure is declared, and how an array of them is read.

A structure is a ``ctypes.Structure`` under the kernel's own name, its fields of the types below or of ctypes'
own integers. Arrays are stepped by the record size the *kernel* reports: an older kernel's shorter records and a
newer one's longer records both parse, and a field that the kernel did not write is None, not zero.
"""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

from kprobe_tool.native.libc import text

be16 = ctypes.c_uint8 * 2
be32 = ctypes.c_uint8 * 4
in6_addr = ctypes.c_uint8 * 16
"""``struct in6_addr``; ``__be32`` fields of this ABI are IPv4 addresses."""

V4MAPPED_PREFIX = bytes(10) + b"\xff\xff"


def address(raw: bytes) -> str:
    """4 or 16 network-order bytes as text; ::ffff:a.b.c.d is the IPv4 address it stands for."""
    if len(raw) == 16 and raw.startswith(V4MAPPED_PREFIX):
        raw = raw[12:]
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def field_value(field: Any) -> Any:
    """One field as a plain Python value."""
    if isinstance(field, be16):
        return int.from_bytes(bytes(field), "big")
    if isinstance(field, be32 | in6_addr):
        return address(bytes(field))
    if isinstance(field, bytes):
        return text(field)
    return field


def records(struct: type[ctypes.Structure], size: int, data: bytes) -> Iterator[dict[str, Any]]:
    """Step through ``data`` in records of ``size`` bytes, each as {field: value}.

    A field not wholly inside ``size`` is None. The caller has checked that ``size`` is positive; a last piece
    shorter than ``size`` is no record and is left out.
    """
    names = [name for name, *_ in struct._fields_]
    written = []
    for name in names:
        place = getattr(struct, name)
        written.append(place.offset + place.size <= size)
    for start in range(0, len(data) - size + 1, size):
        record = struct.from_buffer_copy(data[start : start + size].ljust(ctypes.sizeof(struct), b"\0"))
        yield {
            name: field_value(getattr(record, name)) if present else None
            for name, present in zip(names, written, strict=True)
        }


class StructField(NamedTuple):
    """Where a field of a declared structure lies: ``offset`` and ``size`` in bytes."""

    name: str
    offset: int
    size: int


def struct_fields(struct: type[ctypes.Structure]) -> tuple[StructField, ...]:
    """The fields of a declared structure, in their order."""
    return tuple(
        StructField(name, getattr(struct, name).offset, getattr(struct, name).size) for name, *_ in struct._fields_
    )
