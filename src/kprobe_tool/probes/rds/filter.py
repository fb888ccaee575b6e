# SPDX-License-Identifier: GPL-2.0-or-later
"""Which rows a user wants to see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from kprobe_tool.errors import Error

Network = IPv4Network | IPv6Network

LOCAL_ADDRESS = ("bound_addr", "local_addr", "laddr", "src_addr")
REMOTE_ADDRESS = ("connected_addr", "peer_addr", "faddr", "dst_addr")
LOCAL_PORT = ("bound_port", "local_port", "lport")
REMOTE_PORT = ("connected_port", "peer_port", "fport")


def network(text: str) -> Network:
    """An address or a prefix (``10.0.0.0/8``, ``fd00::/8``). Raises Error."""
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise Error(f"address '{text}'", str(error), hint="an address or a prefix such as 10.0.0.0/8") from error


@dataclass(frozen=True)
class Filters:
    """Every filter that is set must match; a row that has no such field does not.

    The values of one filter are alternatives. ``pid`` matches any process that holds the socket.
    """

    laddr: tuple[Network, ...] = ()
    faddr: tuple[Network, ...] = ()
    lport: tuple[int, ...] = ()
    fport: tuple[int, ...] = ()
    tos: tuple[int, ...] = ()
    state: tuple[str, ...] = ()
    transport: tuple[str, ...] = ()
    pid: tuple[int, ...] = ()
    counter: tuple[str, ...] = ()

    def match(self, row: Mapping[str, object]) -> bool:
        if row["source"] == "counters":
            name = str(row["name"])
            restricted = any(getattr(self, key) for key in self.__dataclass_fields__ if key != "counter")
            return not restricted and (not self.counter or any(fnmatchcase(name, glob) for glob in self.counter))
        return (
            address_in(row, LOCAL_ADDRESS, self.laddr)
            and address_in(row, REMOTE_ADDRESS, self.faddr)
            and value_in(row, LOCAL_PORT, self.lport)
            and value_in(row, REMOTE_PORT, self.fport)
            and value_in(row, ("tos",), self.tos)
            and value_in(row, ("state",), self.state)
            and value_in(row, ("transport",), self.transport)
            and (not self.pid or not self.pid_missing(row))
        )

    def pid_missing(self, row: Mapping[str, object]) -> bool:
        holders = row.get("holders")
        return not isinstance(holders, list) or not set(self.pid) & set(holders)


def first(row: Mapping[str, object], names: Iterable[str]) -> object:
    return next((row[name] for name in names if name in row), None)


def value_in(row: Mapping[str, object], names: Iterable[str], wanted: tuple[object, ...]) -> bool:
    return not wanted or first(row, names) in wanted


def address_in(row: Mapping[str, object], names: Iterable[str], wanted: tuple[Network, ...]) -> bool:
    if not wanted:
        return True
    text = first(row, names)
    if text is None:
        return False
    address = ip_address(str(text))
    return any(address in net for net in wanted)
