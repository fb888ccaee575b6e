# SPDX-License-Identifier: GPL-2.0-or-later
"""How every kernel structure is declared, and how an array of them is read.

A structure is a ``ctypes.Structure`` under the kernel's own name, its fields of the types below or of ctypes'
own integers. Arrays are stepped by the record size the *kernel* reports: an older kernel's shorter records and a
newer one's longer records both parse, and a field that the kernel did not write is None, not zero.
"""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from itertools import repeat
from operator import itemgetter
from struct import Struct
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


cached_address = lru_cache(1 << 16)(address)
"""Most records of a list have addresses that others have, too."""


@cache
def field_layout(ctype: Any) -> tuple[str, str, Callable[[bytes], Any] | None]:
    """How a field's type is read with the struct module: byte order, format, and what is made of the value."""
    if ctype is be16:
        return ">", "H", None
    if ctype in {be32, in6_addr}:
        return "=", f"{ctypes.sizeof(ctype)}s", cached_address
    if issubclass(ctype, ctypes.Array):
        return "=", f"{ctypes.sizeof(ctype)}s", text
    return "=", {1: "B", 2: "H", 4: "I", 8: "Q"}[ctypes.sizeof(ctype)], None


def column(struct: type[ctypes.Structure], name: str, size: int, data: bytes) -> Iterator[Any]:
    """One field of each record in ``data``, the records being of ``size`` bytes; None where it is not wholly inside.

    The caller has checked that ``size`` is positive; a last piece shorter than ``size`` is no record and is left out.
    Nothing here is done in Python for each record: lists of 100,000 sockets are read this way.
    """
    number = len(data) // size
    place = getattr(struct, name)
    behind = size - place.offset - place.size
    if behind < 0:
        return repeat(None, number)
    order, code, convert = field_layout(dict(field[:2] for field in struct._fields_)[name])
    layout = Struct(f"{order}{place.offset}x{code}{behind}x")
    values = map(itemgetter(0), layout.iter_unpack(memoryview(data)[: number * size]))
    return values if convert is None else map(convert, values)


def records(struct: type[ctypes.Structure], size: int, data: bytes) -> Iterator[tuple[Any, ...]]:
    """Step through ``data`` in records of ``size`` bytes: the values of each, in the order of the structure's fields.

    A field not wholly inside ``size`` is None.
    """
    return zip(*(column(struct, name, size, data) for name, *_ in struct._fields_), strict=True)


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
