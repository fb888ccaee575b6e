# SPDX-License-Identifier: GPL-2.0-or-later
"""RDS sockets (net/rds/af_rds.c), and asking one with getsockopt(SOL_RDS, RDS_INFO_*)."""

from __future__ import annotations

import ctypes
import errno as errnos
import os
import socket
from collections.abc import Iterator
from ctypes import c_uint8, c_uint32
from dataclasses import dataclass
from itertools import starmap
from typing import Any

from kprobe_tool.native.libc import announce, libc, oserror
from kprobe_tool.native.rds_info import InfoOption, Record
from kprobe_tool.native.records import be16, be32, column, in6_addr, records

# include/linux/socket.h
AF_RDS = 21
SOL_RDS = 276

ANSWER_MAX = 1 << 28
"""All pages of the buffer are faulted in and pinned, so a kernel that wants more than 256 MiB is not believed."""
ENOSPC_TRIES = 16
"""The lists can grow between the question for the size and the reading; a list that outgrows the slack this
often in a row is not a list that can be read."""

libc.getsockopt.argtypes = (
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_uint32),
)
libc.bind.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32)
libc.sendto.argtypes = (
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_uint32,
)
libc.sendto.restype = ctypes.c_ssize_t


@dataclass(frozen=True)
class InfoAnswer:
    """The raw rows of one option: ``data`` holds whole records of ``record_size`` bytes each."""

    option: InfoOption
    record_size: int
    data: bytes

    def __len__(self) -> int:
        return len(self.data) // self.record_size

    def records(self) -> Iterator[Record]:
        """The rows, decoded one at a time."""
        return starmap(self.option.record, records(self.option.struct, self.record_size, self.data))

    def column(self, name: str) -> Iterator[Any]:
        """One field of all rows, where the others are not wanted."""
        return column(self.option.struct, name, self.record_size, self.data)


def open_socket() -> socket.socket:
    """socket(AF_RDS, SOCK_SEQPACKET, 0) in the calling thread's network namespace.

    Where no RDS is registered this call can make the kernel load the module: ask first
    (:func:`kprobe_tool.native.procfs.protocols`).
    """
    return socket.socket(AF_RDS, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC, 0)


def bytes_needed(fd: int, option: InfoOption) -> int:
    """The zero-length question: how many bytes of rows the kernel says it has (net/rds/info.c).

    Only a hint: kernels that leak count rows here which they do not return.
    """
    length = ctypes.c_uint32(0)
    announce("getsockopt(%d, SOL_RDS, %s, NULL, 0)", fd, option.name)
    if libc.getsockopt(fd, SOL_RDS, option.value, None, ctypes.byref(length)) < 0:
        if ctypes.get_errno() != errnos.ENOSPC:
            oserror(f"getsockopt({option.name})", on=option.name)
        return length.value
    return 0


def read_info(fd: int, option: InfoOption) -> InfoAnswer:
    """All rows of one option, by net/rds/info.c's protocol: probe, then read, again while the list grows.

    Raises OSError with the kernel's errno; ENOSPC when the list outgrew every buffer, EOVERFLOW when it wants
    more than ANSWER_MAX, EPROTO when the record size cannot be one. A buffer that came with ENOSPC is never used:
    some sources leave it half written.
    """
    needed = bytes_needed(fd, option)
    for _ in range(ENOSPC_TRIES):
        if needed > ANSWER_MAX:
            raise OSError(errnos.EOVERFLOW, f"the kernel asks for a buffer of {needed} bytes", option.name)
        room = needed + needed // 8 + 4096
        buffer = ctypes.create_string_buffer(room)
        length = ctypes.c_uint32(room)
        announce("getsockopt(%d, SOL_RDS, %s, buffer, %d)", fd, option.name, room)
        size: int = libc.getsockopt(fd, SOL_RDS, option.value, buffer, ctypes.byref(length))
        if size >= 0:
            try:
                option.check_record_size(size)
            except ValueError as error:
                raise OSError(errnos.EPROTO, f"the kernel answers {error}", option.name) from error
            if length.value > room or length.value % size:
                raise OSError(
                    errnos.EPROTO, f"the kernel reports {length.value} bytes in records of {size}", option.name
                )
            return InfoAnswer(option, size, buffer.raw[: length.value])
        if ctypes.get_errno() != errnos.ENOSPC:
            oserror(f"getsockopt({option.name})", on=option.name)
        needed = max(length.value, room)
    raise OSError(errnos.ENOSPC, f"the list outgrew {ENOSPC_TRIES} buffers in a row", option.name)


class sockaddr_in(ctypes.Structure):
    _fields_ = (
        ("sin_family", ctypes.c_uint16),
        ("sin_port", be16),
        ("sin_addr", be32),
        ("sin_zero", c_uint8 * 8),
    )


class sockaddr_in6(ctypes.Structure):
    _fields_ = (
        ("sin6_family", ctypes.c_uint16),
        ("sin6_port", be16),
        ("sin6_flowinfo", c_uint32),
        ("sin6_addr", in6_addr),
        ("sin6_scope_id", c_uint32),
    )


def sockaddr(address: str, port: int) -> sockaddr_in | sockaddr_in6:
    """Python's own socket module knows IPv4 only for AF_RDS."""
    port_bytes = be16(*port.to_bytes(2, "big"))
    if ":" in address:
        raw = socket.inet_pton(socket.AF_INET6, address)
        return sockaddr_in6(sin6_family=socket.AF_INET6, sin6_port=port_bytes, sin6_addr=in6_addr(*raw))
    raw = socket.inet_pton(socket.AF_INET, address)
    return sockaddr_in(sin_family=socket.AF_INET, sin_port=port_bytes, sin_addr=be32(*raw))


def bind(fd: int, address: str, port: int) -> None:
    """bind(2) of an RDS socket; port 0 lets the kernel choose, port 1 is its own (EINVAL)."""
    name = sockaddr(address, port)
    announce("bind(%d, %s port %d)", fd, address, port)
    if libc.bind(fd, ctypes.byref(name), ctypes.sizeof(name)) < 0:
        oserror("bind(2)", on=f"{address} port {port}")


def sendto(fd: int, data: bytes, address: str, port: int) -> None:
    """sendto(2) of an RDS socket, never waiting."""
    name = sockaddr(address, port)
    flags = socket.MSG_DONTWAIT
    announce("sendto(%d, %d bytes, %s port %d)", fd, len(data), address, port)
    if libc.sendto(fd, data, len(data), flags, ctypes.byref(name), ctypes.sizeof(name)) < 0:
        oserror("sendto(2)", on=f"{address} port {port}")


def socket_inode(sock: socket.socket) -> int:
    """The inode by which RDS_INFO_SOCKETS and /proc/PID/fd know a socket."""
    return os.fstat(sock.fileno()).st_ino
