# SPDX-License-Identifier: GPL-2.0-or-later
"""Which entries a user wants to see. Known before there is an answer to look at, which :mod:`matching` does."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from kprobe_tool.errors import Error

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

Network: TypeAlias = "IPv4Network | IPv6Network"


def network(text: str) -> Network:
    """An address or a prefix (``10.0.0.0/8``, ``fd00::/8``). Raises Error."""
    from ipaddress import ip_network

    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise Error(f"address '{text}'", str(error), hint="an address or a prefix such as 10.0.0.0/8") from error


QUEUES = frozenset({"send", "retrans", "recv"})
WITH_PORTS = frozenset({"sockets", "tcp"}) | QUEUES
WITH_ADDRESSES = frozenset({"connections", "ib"}) | WITH_PORTS
CONCERNED = {
    "laddr": WITH_ADDRESSES,
    "faddr": WITH_ADDRESSES,
    "lport": WITH_PORTS,
    "fport": WITH_PORTS,
    "tos": WITH_ADDRESSES - {"sockets"},
    "state": frozenset({"connections"}),
    "transport": frozenset({"connections"}),
    "pid": frozenset({"sockets"}) | QUEUES,
    "counter": frozenset({"counters"}),
}
"""The lists whose records have the field that a condition looks at."""


class InfoFilter(NamedTuple):
    """Every condition that is set must hold; an entry that has no such field does not meet it.

    The values of one condition are alternatives. ``pid`` matches any process that holds the socket, ``counter``
    is a glob, for counters only.
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

    def concerns(self, source: str) -> bool:
        """Whether the records of this list have all the fields that are looked at."""
        return all(source in lists for condition, lists in CONCERNED.items() if getattr(self, condition))

    def leaves_any(self, source: str) -> bool:
        """Whether a record of this list can match: ``counter`` leaves those of other lists alone."""
        return self._replace(counter=()).concerns(source)
