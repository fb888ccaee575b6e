# SPDX-License-Identifier: GPL-2.0-or-later
"""Which entries a user wants to see."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from kprobe_tool.errors import Error
from kprobe_tool.native.rds_info import Counter
from kprobe_tool.probes.rds.entries import InfoEntry, local_end, remote_end

Network = IPv4Network | IPv6Network


def network(text: str) -> Network:
    """An address or a prefix (``10.0.0.0/8``, ``fd00::/8``). Raises Error."""
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

    def match(self, entry: InfoEntry) -> bool:
        record = entry.record
        laddr, lport = local_end(record)
        faddr, fport = remote_end(record)
        return (
            (not isinstance(record, Counter) or not self.counter or matches_glob(record.name, self.counter))
            and matches_network(laddr, self.laddr)
            and matches_network(faddr, self.faddr)
            and matches_value(lport, self.lport)
            and matches_value(fport, self.fport)
            and matches_value(getattr(record, "tos", None), self.tos)
            and matches_value(entry.state, self.state)
            and matches_value(getattr(record, "transport", None), self.transport)
            and (not self.pid or any(process.pid in self.pid for process in entry.processes or ()))
        )


def matches_value(value: object, wanted: Collection[object]) -> bool:
    return not wanted or value in wanted


def matches_network(address: str | None, networks: Collection[Network]) -> bool:
    return not networks or (address is not None and any(ip_address(address) in each for each in networks))


def matches_glob(name: str, globs: Collection[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)
