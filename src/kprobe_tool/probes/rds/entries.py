# SPDX-License-Identifier: GPL-2.0-or-later
"""From raw answers to rows: which option answers which question, and which row belongs to whom."""

from __future__ import annotations

import socket
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat

from kprobe_tool.native import rds
from kprobe_tool.native.netns import Netns
from kprobe_tool.native.procfs import Process
from kprobe_tool.native.rds import Connection, InfoOption, Message, RdmaConnection, Record, Socket, TcpSocket
from kprobe_tool.probes.rds.ask import Capture, Reading

Row = dict[str, object]


@dataclass(frozen=True)
class Source:
    """One list the kernel keeps. The RDS6 option lists IPv4 and IPv6 and is asked first; the older one knows the
    ``tos`` of connections, and is all there is before Linux v4.19. ``module`` must be loaded for it to exist."""

    name: str
    v6: InfoOption | None
    v4: InfoOption
    module: str = "rds"

    @property
    def options(self) -> tuple[InfoOption, ...]:
        return (self.v4,) if self.v6 is None else (self.v6, self.v4)


SOURCES = {
    name: Source(name, rds.OPTIONS.get(f"RDS6_INFO_{option}"), rds.OPTIONS[f"RDS_INFO_{option}"], module)
    for name, option, module in (
        ("sockets", "SOCKETS", "rds"),
        ("connections", "CONNECTIONS", "rds"),
        ("tcp", "TCP_SOCKETS", "rds_tcp"),
        ("ib", "IB_CONNECTIONS", "rds_rdma"),
        ("send", "SEND_MESSAGES", "rds"),
        ("retrans", "RETRANS_MESSAGES", "rds"),
        ("recv", "RECV_MESSAGES", "rds"),
        ("counters", "COUNTERS", "rds"),
    )
}


def options_of(names: Collection[str]) -> list[InfoOption]:
    """What to ask for these sources; the sockets come along always, since they tell whose a message is."""
    wanted = [source for source in SOURCES.values() if source.name in names or source.name == "sockets"]
    return [option for source in wanted for option in source.options]


def availability(capture: Capture) -> dict[str, str]:
    """Per source ``ok``, ``unavailable`` (no such option in this kernel right now), or ``failed``."""
    result = {}
    for source in SOURCES.values():
        answered = any(option.name in reading.answers for reading in capture.readings for option in source.options)
        failed = {
            reading.failures[option.name]
            for reading in capture.readings
            for option in source.options
            if option.name in reading.failures
        }
        if answered or failed:
            result[source.name] = "ok" if answered else "unavailable" if failed == {"ENOPROTOOPT"} else "failed"
    return result


def state(flags: int) -> str:
    """The connection's state as far as its flags tell. ``down`` is also a connection that is being reset."""
    if flags & rds.RDS_INFO_CONNECTION_FLAG_ERROR:
        return "error"
    if flags & rds.RDS_INFO_CONNECTION_FLAG_CONNECTED:
        return "connected"
    return "connecting" if flags & rds.RDS_INFO_CONNECTION_FLAG_CONNECTING else "down"


def merged(source: Source, reading: Reading) -> Iterator[Record]:
    """The records of one source: RDS6 rows completed from the older option, or that option alone."""
    newer = reading.answers.get(source.v6.name) if source.v6 is not None else None
    older = reading.answers.get(source.v4.name)
    if newer is not None:
        yield from with_tos(list(newer.records()), [] if older is None else list(older.records()))
    elif older is not None:
        for record in older.records():
            if isinstance(record, Message) and source.name in {"send", "retrans"}:
                # __rds_inc_msg_cp() reads the IPv4 address from the first bytes of an IPv4-mapped one (every
                # kernel up to v7.3), which gives 0.0.0.0: no address is better than that one.
                yield replace(record, laddr=None, faddr=None)
            else:
                yield record


def with_tos(records: Sequence[Record], older: Sequence[Record]) -> Iterator[Record]:
    """Give connections and TCP sockets the ``tos`` that only the older option tells.

    Rows are matched by what identifies them. Connections that differ in nothing but their tos are matched in the
    order of the list, which both options walk alike; where a list changed between the two readings and the order
    says nothing, tos stays unknown.
    """
    known: defaultdict[tuple[object, ...], list[int | None]] = defaultdict(list)
    for record in older:
        if isinstance(record, Connection | TcpSocket):
            known[identity(record)].append(record.tos)
    wanted = Counter(identity(record) for record in records if isinstance(record, Connection | TcpSocket))
    queues: dict[tuple[object, ...], Iterator[int | None]] = {
        key: iter(candidates) if len(candidates) == wanted[key] else repeat(candidates[0])
        for key, candidates in known.items()
        if len(candidates) == wanted[key] or len(set(candidates)) == 1
    }
    for record in records:
        if isinstance(record, Connection | TcpSocket):
            yield replace(record, tos=next(queues.get(identity(record), repeat(None))))
        else:
            yield record


def identity(record: Connection | TcpSocket) -> tuple[object, ...]:
    if isinstance(record, Connection):
        return record.laddr, record.faddr, record.transport
    return record.local_addr, record.local_port, record.peer_addr, record.peer_port


def local_end(record: Record) -> tuple[str | None, int | None]:
    """The local address and port of a record, None where its kind has none."""
    match record:
        case Socket():
            return record.bound_addr, record.bound_port
        case TcpSocket():
            return record.local_addr, record.local_port
        case Message():
            return record.laddr, record.lport
        case Connection():
            return record.laddr, None
        case RdmaConnection():
            return record.src_addr, None
    return None, None


class Owners:
    """Who a row belongs to: processes by socket, and namespaces where the kernel did not separate them."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.spaces = {space.inode: space for space in capture.selected}
        # The bind table is one for the whole host, so an address and port name one socket at most.
        self.inodes: dict[tuple[str, int], int] = {}
        for reading in capture.readings:
            for record in merged(SOURCES["sockets"], reading):
                if isinstance(record, Socket) and record.bound_port:
                    self.inodes[record.bound_addr, record.bound_port] = record.inum

    def inode(self, record: Record) -> int | None:
        """The socket behind a record."""
        if isinstance(record, Socket):
            return record.inum
        if isinstance(record, Message) and record.laddr is not None:
            return self.inodes.get((record.laddr, record.lport))
        return None

    def processes(self, record: Record) -> Sequence[Process]:
        inode = self.inode(record)
        return self.capture.holders.get(inode, ()) if inode is not None else ()

    def namespace(self, record: Record) -> int | None:
        """The inode of the namespace of a leaked record: the only one that has its address, else its process's.

        The address is the better witness, since a process may hold sockets of other namespaces than its own.
        """
        address, _ = local_end(record)
        having = [inode for inode, local in self.capture.local_addresses.items() if address in local]
        if len(having) == 1:
            return having[0]
        spaces = {process.netns for process in self.processes(record)}
        return spaces.pop() if len(spaces) == 1 else None


def rows(capture: Capture, names: Collection[str]) -> list[Row]:
    """All rows of the named sources, in a stable order.

    A row is ``source``, ``netns`` ({name, inode, pid}, or None where a leaking kernel does not tell), the fields
    of the kernel's structure, ``state`` of connections, and ``pid comm holders`` of the lowest process that holds
    the socket. Counters are the host's, told once.
    """
    owners = Owners(capture)
    result: list[Row] = []
    for number, reading in enumerate(capture.readings):
        for source in SOURCES.values():
            if source.name not in names or (source.name == "counters" and number > 0):
                continue
            for record in merged(source, reading):
                if isinstance(record, Socket) and record.inum in reading.own_inodes:
                    continue
                space = reading.netns
                if space is None and source.name != "counters":
                    inode = owners.namespace(record)
                    if inode is not None and inode not in owners.spaces:
                        continue
                    space = None if inode is None else owners.spaces[inode]
                result.append(row(source, space, record, owners.processes(record)))
    return sorted(result, key=sort_key)


def row(source: Source, space: Netns | None, record: Record, processes: Sequence[Process]) -> Row:
    result: Row = {"source": source.name, "netns": None, **vars(record)}
    if source.name != "counters" and space is not None:
        result["netns"] = {"name": space.name, "inode": space.inode, "pid": space.pid}
    if isinstance(record, Connection):
        result["state"] = state(record.flags)
        result["sending"] = bool(record.flags & rds.RDS_INFO_CONNECTION_FLAG_SENDING)
    if isinstance(record, Socket | Message):
        result["pid"] = processes[0].pid if processes else None
        result["comm"] = processes[0].comm if processes else None
        result["holders"] = [process.pid for process in processes]
    return result


ORDER = {name: number for number, name in enumerate(SOURCES)}


def sort_key(row: Mapping[str, object]) -> tuple[object, ...]:
    space = row["netns"]
    inode = space["inode"] if isinstance(space, Mapping) else 0
    skipped = {"source", "netns", "state", "sending", "pid", "comm", "holders"}
    fields = [row[key] for key in KEY_FIELDS if key in row]
    fields += [value for key, value in row.items() if key not in skipped and key not in KEY_FIELDS]
    return ORDER[str(row["source"])], inode, [sortable(value) for value in fields]


KEY_FIELDS = (
    "bound_addr",
    "bound_port",
    "local_addr",
    "laddr",
    "src_addr",
    "lport",
    "local_port",
    "peer_addr",
    "faddr",
    "dst_addr",
    "fport",
    "peer_port",
    "seq",
)
"""What a reader looks a row up by, in this order; the other fields only break ties."""


def sortable(value: object) -> tuple[int, object]:
    """Comparable across kinds: nothing first, then numbers, addresses by their bytes, other text."""
    if value is None:
        return 0, 0
    if isinstance(value, int):
        return 1, value
    text = str(value)
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return 2 + family, socket.inet_pton(family, text)
        except OSError:
            continue
    return 2, text
