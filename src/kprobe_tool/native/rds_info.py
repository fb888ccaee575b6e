# SPDX-License-Identifier: GPL-2.0-or-later
"""include/uapi/linux/rds.h: the structures of RDS_INFO_*, what a row of them becomes, and the options."""

from __future__ import annotations

import ctypes
from ctypes import c_char, c_uint8, c_uint32, c_uint64
from typing import NamedTuple, TypeAlias

from kprobe_tool.native.records import be16, be32, in6_addr

# include/uapi/linux/rds.h, connection flags
RDS_INFO_CONNECTION_FLAG_SENDING = 0x01
RDS_INFO_CONNECTION_FLAG_CONNECTING = 0x02
RDS_INFO_CONNECTION_FLAG_CONNECTED = 0x04
RDS_INFO_CONNECTION_FLAG_ERROR = 0x08
"""Only Oracle's UEK sets it; mainline's header does not have it."""


class rds_info_counter(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("name", c_char * 32), ("value", c_uint64))


class rds_info_connection(ctypes.Structure):
    _pack_ = 1
    _fields_ = (
        ("next_tx_seq", c_uint64),
        ("next_rx_seq", c_uint64),
        ("laddr", be32),
        ("faddr", be32),
        ("transport", c_char * 16),
        ("flags", c_uint8),
        # Since Linux kernel commit 3eb450367d08 ("rds: add type of service(tos) infrastructure") (in v5.1)
        ("tos", c_uint8),
    )


class rds6_info_connection(ctypes.Structure):
    _pack_ = 1
    _fields_ = (
        ("next_tx_seq", c_uint64),
        ("next_rx_seq", c_uint64),
        ("laddr", in6_addr),
        ("faddr", in6_addr),
        ("transport", c_char * 16),
        ("flags", c_uint8),
    )


class rds_info_message(ctypes.Structure):
    _pack_ = 1
    _fields_ = (
        ("seq", c_uint64),
        ("len", c_uint32),
        ("laddr", be32),
        ("faddr", be32),
        ("lport", be16),
        ("fport", be16),
        ("flags", c_uint8),
        ("tos", c_uint8),
    )


class rds6_info_message(ctypes.Structure):
    _pack_ = 1
    _fields_ = (
        ("seq", c_uint64),
        ("len", c_uint32),
        ("laddr", in6_addr),
        ("faddr", in6_addr),
        ("lport", be16),
        ("fport", be16),
        ("flags", c_uint8),
        ("tos", c_uint8),
    )


class rds_info_socket(ctypes.Structure):
    _pack_ = 1
    _fields_ = (
        ("sndbuf", c_uint32),
        ("bound_addr", be32),
        ("connected_addr", be32),
        ("bound_port", be16),
        ("connected_port", be16),
        ("rcvbuf", c_uint32),
        ("inum", c_uint64),
    )


class rds6_info_socket(ctypes.Structure):
    _pack_ = 1
    _fields_ = (
        ("sndbuf", c_uint32),
        ("bound_addr", in6_addr),
        ("connected_addr", in6_addr),
        ("bound_port", be16),
        ("connected_port", be16),
        ("rcvbuf", c_uint32),
        ("inum", c_uint64),
    )


class rds_info_tcp_socket(ctypes.Structure):
    _pack_ = 1
    _fields_ = (
        ("local_addr", be32),
        ("local_port", be16),
        ("peer_addr", be32),
        ("peer_port", be16),
        ("hdr_rem", c_uint64),
        ("data_rem", c_uint64),
        ("last_sent_nxt", c_uint32),
        ("last_expected_una", c_uint32),
        ("last_seen_una", c_uint32),
        ("tos", c_uint8),
    )


class rds6_info_tcp_socket(ctypes.Structure):
    _pack_ = 1
    _fields_ = (
        ("local_addr", in6_addr),
        ("local_port", be16),
        ("peer_addr", in6_addr),
        ("peer_port", be16),
        ("hdr_rem", c_uint64),
        ("data_rem", c_uint64),
        ("last_sent_nxt", c_uint32),
        ("last_expected_una", c_uint32),
        ("last_seen_una", c_uint32),
    )


class rds_info_rdma_connection(ctypes.Structure):
    _fields_ = (
        ("src_addr", be32),
        ("dst_addr", be32),
        ("src_gid", in6_addr),
        ("dst_gid", in6_addr),
        ("max_send_wr", c_uint32),
        ("max_recv_wr", c_uint32),
        ("max_send_sge", c_uint32),
        ("rdma_mr_max", c_uint32),
        ("rdma_mr_size", c_uint32),
        ("tos", c_uint8),
        ("sl", c_uint8),
        ("cache_allocs", c_uint32),
    )


class rds6_info_rdma_connection(ctypes.Structure):
    _fields_ = (
        ("src_addr", in6_addr),
        ("dst_addr", in6_addr),
        ("src_gid", in6_addr),
        ("dst_gid", in6_addr),
        ("max_send_wr", c_uint32),
        ("max_recv_wr", c_uint32),
        ("max_send_sge", c_uint32),
        ("rdma_mr_max", c_uint32),
        ("rdma_mr_size", c_uint32),
        ("tos", c_uint8),
        ("sl", c_uint8),
        ("cache_allocs", c_uint32),
    )


class Counter(NamedTuple):
    """``struct rds_info_counter``: one statistic, summed over all CPUs, of the whole host."""

    name: str
    value: int


class Connection(NamedTuple):
    """``struct rds_info_connection`` or ``rds6_info_connection``. Sequence numbers are path 0's only."""

    next_tx_seq: int
    next_rx_seq: int
    laddr: str
    faddr: str
    transport: str
    flags: int
    tos: int | None = None


class QueuedMessage(NamedTuple):
    """``struct rds_info_message`` or ``rds6_info_message``. ``len`` is in bytes."""

    seq: int
    len: int
    laddr: str | None
    faddr: str | None
    lport: int
    fport: int
    flags: int
    tos: int | None = None


class RdsSocket(NamedTuple):
    """``struct rds_info_socket`` or ``rds6_info_socket``. Buffers are in bytes, half of what the kernel charges."""

    sndbuf: int
    bound_addr: str
    connected_addr: str
    bound_port: int
    connected_port: int
    rcvbuf: int
    inum: int


class TcpSocket(NamedTuple):
    """``struct rds_info_tcp_socket`` or ``rds6_info_tcp_socket``: one TCP connection under an RDS path."""

    local_addr: str
    local_port: int
    peer_addr: str
    peer_port: int
    hdr_rem: int
    data_rem: int
    last_sent_nxt: int
    last_expected_una: int
    last_seen_una: int
    tos: int | None = None


class RdmaConnection(NamedTuple):
    """``struct rds_info_rdma_connection`` or ``rds6_info_rdma_connection``."""

    src_addr: str
    dst_addr: str
    src_gid: str
    dst_gid: str
    max_send_wr: int
    max_recv_wr: int
    max_send_sge: int
    rdma_mr_max: int
    rdma_mr_size: int
    tos: int | None = None
    sl: int | None = None
    cache_allocs: int | None = None


Record: TypeAlias = Counter | Connection | QueuedMessage | RdsSocket | TcpSocket | RdmaConnection

RECORD_SIZE_MAX = 4096
"""No structure of this ABI is near a page; a larger record size is no answer of an RDS kernel."""


class InfoOption(NamedTuple):
    """One RDS_INFO_* option: its number, the structure of its rows, and what a row becomes.

    The fields of the record are those of the structure, in its order, and perhaps more, which default to None.
    """

    name: str
    value: int
    struct: type[ctypes.Structure]
    record: type[Record]

    def check_record_size(self, size: int) -> None:
        """Raise ValueError for a size that no version of the structure had.

        The first version ended with the last field that has no default; later ones only grew.
        """
        required = [name for name in self.record._fields if name not in self.record._field_defaults]
        places = [getattr(self.struct, name) for name in required]
        if not max(place.offset + place.size for place in places) <= size <= RECORD_SIZE_MAX:
            raise ValueError(f"{self.name} in records of {size} bytes")


OPTIONS = {
    option.name: option
    for option in (
        InfoOption("RDS_INFO_COUNTERS", 10000, rds_info_counter, Counter),
        InfoOption("RDS_INFO_CONNECTIONS", 10001, rds_info_connection, Connection),
        # 10002 (FLOWS), 10009 (CONNECTION_STATS) and 10010 (IWARP_CONNECTIONS) were never registered.
        InfoOption("RDS_INFO_SEND_MESSAGES", 10003, rds_info_message, QueuedMessage),
        InfoOption("RDS_INFO_RETRANS_MESSAGES", 10004, rds_info_message, QueuedMessage),
        InfoOption("RDS_INFO_RECV_MESSAGES", 10005, rds_info_message, QueuedMessage),
        InfoOption("RDS_INFO_SOCKETS", 10006, rds_info_socket, RdsSocket),
        InfoOption("RDS_INFO_TCP_SOCKETS", 10007, rds_info_tcp_socket, TcpSocket),
        InfoOption("RDS_INFO_IB_CONNECTIONS", 10008, rds_info_rdma_connection, RdmaConnection),
        # Linux v4.19 added IPv6; these also list IPv4 connections, as ::ffff:a.b.c.d.
        InfoOption("RDS6_INFO_CONNECTIONS", 10011, rds6_info_connection, Connection),
        InfoOption("RDS6_INFO_SEND_MESSAGES", 10012, rds6_info_message, QueuedMessage),
        InfoOption("RDS6_INFO_RETRANS_MESSAGES", 10013, rds6_info_message, QueuedMessage),
        InfoOption("RDS6_INFO_RECV_MESSAGES", 10014, rds6_info_message, QueuedMessage),
        InfoOption("RDS6_INFO_SOCKETS", 10015, rds6_info_socket, RdsSocket),
        InfoOption("RDS6_INFO_TCP_SOCKETS", 10016, rds6_info_tcp_socket, TcpSocket),
        InfoOption("RDS6_INFO_IB_CONNECTIONS", 10017, rds6_info_rdma_connection, RdmaConnection),
    )
}
