# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows of RDS by a declaration of their layouts that shares nothing with the tool's."""

import socket
from collections.abc import Callable
from typing import Any


def address_of(raw_address: bytes) -> str:
    if raw_address[:12] == bytes(10) + b"\xff\xff":
        return socket.inet_ntop(socket.AF_INET, raw_address[12:])
    return socket.inet_ntop(socket.AF_INET6, raw_address)


def port(raw_port: bytes) -> int:
    return int.from_bytes(raw_port, "big")


# Source: number of the option, layout as a format of struct, the row.
LAYOUTS: dict[str, tuple[int, str, Callable[..., dict[str, Any]]]] = {
    "sockets": (
        10015,
        "=I16s16s2s2sIQ",
        lambda sndbuf, bound, connected, bport, cport, rcvbuf, inum: {
            "sndbuf": sndbuf,
            "bound_addr": address_of(bound),
            "connected_addr": address_of(connected),
            "bound_port": port(bport),
            "connected_port": port(cport),
            "rcvbuf": rcvbuf,
            "inum": inum,
        },
    ),
    "connections": (
        10011,
        "=QQ16s16s16sB",
        lambda tx, rx, laddr, faddr, transport, flags: {
            "next_tx_seq": tx,
            "next_rx_seq": rx,
            "laddr": address_of(laddr),
            "faddr": address_of(faddr),
            "transport": transport.rstrip(b"\0").decode(),
            "flags": flags,
        },
    ),
    "tcp": (
        10016,
        "=16s2s16s2sQQIII",
        lambda laddr, lport, paddr, pport, hdr, data, nxt, expected, seen: {
            "local_addr": address_of(laddr),
            "local_port": port(lport),
            "peer_addr": address_of(paddr),
            "peer_port": port(pport),
            "hdr_rem": hdr,
            "data_rem": data,
            "last_sent_nxt": nxt,
            "last_expected_una": expected,
            "last_seen_una": seen,
        },
    ),
    **{
        name: (
            optname,
            "=QI16s16s2s2sBB",
            lambda seq, length, laddr, faddr, lport, fport, flags, tos: {
                "seq": seq,
                "len": length,
                "laddr": address_of(laddr),
                "faddr": address_of(faddr),
                "lport": port(lport),
                "fport": port(fport),
                "flags": flags,
                "tos": tos,
            },
        )
        for name, optname in (("send", 10012), ("retrans", 10013), ("recv", 10014))
    },
}


C_FORMATS = {
    # Number and layout of the IPv4 option, as the C rds-info reads it.
    "connections": (10001, "=QQ4s4s16sBB"),
    "recv": (10005, "=QI4s4s2s2sBB"),
    "sockets": (10006, "=I4s4s2s2sIQ"),
    "tcp": (10007, "=4s2s4s2sQQIIIB"),
}


def c_line(source: str, values: tuple[Any, ...]) -> str:
    """A row as rds-tools' rds-info.c prints it from the IPv4 options."""

    def ipv4(raw_address: bytes) -> str:
        return socket.inet_ntop(socket.AF_INET, raw_address)

    if source == "sockets":
        snd, bound, connected, bport, cport, rcv, inum = values
        return (
            f"{ipv4(bound):>15} {port(bport):>5} {ipv4(connected):>15} {port(cport):>5} {snd:>10} {rcv:>10} {inum:>8}"
        )
    if source == "connections":
        tx, rx, laddr, faddr, _, flags, tos = values
        letters = "".join(letter if flags & bit else "-" for letter, bit in zip("scCE", (1, 2, 4, 8), strict=True))
        return f"{ipv4(laddr):>15} {ipv4(faddr):>15} {tos:>4} {tx:>16} {rx:>16} {letters:>4}"
    if source == "recv":
        seq, length, laddr, faddr, lport, fport, _, tos = values
        return (
            f"{ipv4(laddr):>15} {port(lport):>5} {ipv4(faddr):>15} {port(fport):>5} {tos:>4} {seq:>16} {length:>10}"
        )
    laddr, lport, paddr, pport, hdr, data, nxt, expected, seen, _ = values
    return (
        f"{ipv4(laddr):>15} {port(lport):>5} {ipv4(paddr):>15} {port(pport):>5} "
        f"{hdr:>10} {data:>10} {nxt:>10} {expected:>10} {seen:>10}"
    )


def c_line_of_row(source: str, row: dict[str, Any]) -> str:
    """The line that rds-info.c prints, from the tool's row."""
    if source == "sockets":
        return (
            f"{row['bound_addr']:>15} {row['bound_port']:>5} {row['connected_addr'].replace('::', '0.0.0.0'):>15} "
            f"{row['connected_port']:>5} {row['sndbuf']:>10} {row['rcvbuf']:>10} {row['inum']:>8}"
        )
    if source == "connections":
        letters = "".join(
            letter if row["flags"] & bit else "-" for letter, bit in zip("scCE", (1, 2, 4, 8), strict=True)
        )
        return (
            f"{row['laddr']:>15} {row['faddr']:>15} {row['tos']:>4} {row['next_tx_seq']:>16} "
            f"{row['next_rx_seq']:>16} {letters:>4}"
        )
    if source == "recv":
        return (
            f"{row['laddr']:>15} {row['lport']:>5} {row['faddr']:>15} {row['fport']:>5} {row['tos']:>4} "
            f"{row['seq']:>16} {row['len']:>10}"
        )
    return (
        f"{row['local_addr']:>15} {row['local_port']:>5} {row['peer_addr']:>15} {row['peer_port']:>5} "
        f"{row['hdr_rem']:>10} {row['data_rem']:>10} {row['last_sent_nxt']:>10} {row['last_expected_una']:>10} "
        f"{row['last_seen_una']:>10}"
    )
