# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether an entry is one that a user wants to see."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase
from ipaddress import ip_address

from kprobe_tool.native.rds_info import Counter
from kprobe_tool.probes.rds.entries import InfoEntry, local_end, remote_end
from kprobe_tool.probes.rds.filter import InfoFilter, Network


def matches(wanted: InfoFilter, entry: InfoEntry) -> bool:
    """Every condition that is set must hold."""
    record = entry.record
    laddr, lport = local_end(record)
    faddr, fport = remote_end(record)
    return (
        (not isinstance(record, Counter) or not wanted.counter or matches_glob(record.name, wanted.counter))
        and matches_network(laddr, wanted.laddr)
        and matches_network(faddr, wanted.faddr)
        and matches_value(lport, wanted.lport)
        and matches_value(fport, wanted.fport)
        and matches_value(getattr(record, "tos", None), wanted.tos)
        and matches_value(entry.state, wanted.state)
        and matches_value(getattr(record, "transport", None), wanted.transport)
        and (not wanted.pid or any(process.pid in wanted.pid for process in entry.processes or ()))
    )


def matches_value(value: object, wanted: Collection[object]) -> bool:
    return not wanted or value in wanted


def matches_network(address: str | None, networks: Collection[Network]) -> bool:
    return not networks or (address is not None and any(ip_address(address) in each for each in networks))


def matches_glob(name: str, globs: Collection[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)
