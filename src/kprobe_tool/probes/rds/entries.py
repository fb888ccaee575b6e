# SPDX-License-Identifier: GPL-2.0-or-later
"""From raw answers to entries: which record belongs to which namespace and which processes."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

from kprobe_tool.native import rds_info
from kprobe_tool.native.netns import Netns
from kprobe_tool.native.procfs import Process
from kprobe_tool.native.rds_info import Connection, QueuedMessage, RdmaConnection, RdsSocket, Record, TcpSocket
from kprobe_tool.probes.rds.ask import Capture
from kprobe_tool.probes.rds.lists import LISTS, records

End = tuple[str | None, int | None]
"""An address and a port; None where a record of its kind has none."""


class InfoEntry(NamedTuple):
    """One record of the list ``source``.

    ``netns`` is None for counters, which are the host's, and where nothing proves whose a record is. ``processes``
    hold the socket behind it, lowest pid first; None where there is no socket behind a record of its kind.
    """

    source: str
    netns: Netns | None
    record: Record
    processes: Sequence[Process] | None = None

    @property
    def state(self) -> str | None:
        return connection_state(self.record.flags) if isinstance(self.record, Connection) else None

    @property
    def sending(self) -> bool | None:
        if not isinstance(self.record, Connection):
            return None
        return bool(self.record.flags & rds_info.RDS_INFO_CONNECTION_FLAG_SENDING)


def connection_state(flags: int) -> str:
    """A connection's state as far as its flags show it. ``down`` is also a connection that is being reset."""
    if flags & rds_info.RDS_INFO_CONNECTION_FLAG_ERROR:
        return "error"
    if flags & rds_info.RDS_INFO_CONNECTION_FLAG_CONNECTED:
        return "connected"
    return "connecting" if flags & rds_info.RDS_INFO_CONNECTION_FLAG_CONNECTING else "down"


def local_end(record: Record) -> End:
    match record:
        case RdsSocket():
            return record.bound_addr, record.bound_port
        case TcpSocket():
            return record.local_addr, record.local_port
        case QueuedMessage():
            return record.laddr, record.lport
        case Connection():
            return record.laddr, None
        case RdmaConnection():
            return record.src_addr, None
    return None, None


def remote_end(record: Record) -> End:
    match record:
        case RdsSocket():
            return record.connected_addr, record.connected_port
        case TcpSocket():
            return record.peer_addr, record.peer_port
        case QueuedMessage():
            return record.faddr, record.fport
        case Connection():
            return record.faddr, None
        case RdmaConnection():
            return record.dst_addr, None
    return None, None


class Attribution:
    """Who a record belongs to: processes by socket, and namespaces where the kernel may not have separated them."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.spaces = {space.inode: space for space in capture.selected}
        self.inodes_by_address: defaultdict[str, list[int]] = defaultdict(list)
        """The network namespaces that have an address."""
        for inode, addresses in capture.local_addresses.items():
            for address in addresses:
                self.inodes_by_address[address].append(inode)

    @cached_property
    def inodes(self) -> dict[tuple[str, int], int]:
        """Sockets by address and port: the bind table is one for the whole host, so these name one socket at most."""
        return {
            (record.bound_addr, record.bound_port): record.inum
            for reading in self.capture.readings
            for record in records(LISTS["sockets"], reading.answers)
            if isinstance(record, RdsSocket) and record.bound_port
        }

    def processes(self, record: Record) -> Sequence[Process] | None:
        """Those that hold the socket behind a record, None where its kind has none."""
        if isinstance(record, RdsSocket):
            return self.capture.holders.get(record.inum, ())
        if isinstance(record, QueuedMessage):
            inode = self.inodes.get((record.laddr or "", record.lport))
            return self.capture.holders.get(inode, ()) if inode is not None else ()
        return None

    def namespace(self, record: Record) -> int | None:
        """The inode of the namespace of a record that can be anybody's: the only one that has its address, else the
        one its processes are in, else None.

        The address comes first, because a process may hold sockets of other namespaces than its own. It proves
        nothing while there are namespaces whose addresses could not be read.
        """
        address, _ = local_end(record)
        inodes = self.inodes_by_address.get(address or "", ())
        if len(inodes) == 1:
            return inodes[0]
        spaces = {process.netns for process in self.processes(record) or ()}
        return spaces.pop() if len(spaces) == 1 else None


def entries(
    capture: Capture, names: Collection[str], wanted: Callable[[InfoEntry], bool] | None = None
) -> list[InfoEntry]:
    """The entries of the named lists in a stable order, without the tool's own sockets; counters, which are the
    host's, once. With ``wanted`` only those for which it returns true."""
    attribution = Attribution(capture)
    result: list[InfoEntry] = []
    for number, reading in enumerate(capture.readings):
        for each in LISTS.values():
            if each.name not in names or (each.name == "counters" and number > 0):
                continue
            of_host = each.name == "counters"
            for record in records(each, reading.answers):
                if isinstance(record, RdsSocket) and record.inum in reading.own_inodes:
                    continue
                space = None if of_host else reading.netns
                if space is None and not of_host:
                    inode = attribution.namespace(record)
                    if inode is not None and inode not in attribution.spaces:
                        continue
                    space = None if inode is None else attribution.spaces[inode]
                entry = InfoEntry(each.name, space, record, attribution.processes(record))
                if wanted is None or wanted(entry):
                    result.append(entry)
    return sorted(result, key=sort_key)


ORDER = {name: number for number, name in enumerate(LISTS)}


def sort_key(entry: InfoEntry) -> tuple[object, ...]:
    """By list and namespace, then by what a reader looks a record up by; the other fields only break ties."""
    source, space, record, _ = entry
    laddr, lport = local_end(record)
    faddr, fport = remote_end(record)
    return (
        ORDER[source],
        space.inode if space else 0,
        address_key(laddr),
        lport or 0,
        address_key(faddr),
        fport or 0,
        record.seq if isinstance(record, QueuedMessage) else 0,
        # Nothing comes first; no field of the kernel's is below 0.
        tuple(-1 if value is None else value for value in record) if None in record else record,
    )


@lru_cache(1 << 16)
def address_key(text: str | None) -> tuple[int, bytes]:
    """No address comes first, then those of IPv4, then those of IPv6, each by their bytes."""
    if text is None:
        return 0, b""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return int(family), socket.inet_pton(family, text)
