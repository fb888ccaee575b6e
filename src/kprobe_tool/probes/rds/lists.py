# SPDX-License-Identifier: GPL-2.0-or-later
"""The lists that the kernel keeps, and the records of one: which RDS_INFO_* option answers for what."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

from kprobe_tool.native import rds_info
from kprobe_tool.native.rds import InfoAnswer
from kprobe_tool.native.rds_info import Connection, InfoOption, QueuedMessage, Record, TcpSocket

if TYPE_CHECKING:
    from kprobe_tool.probes.rds.ask import Reading


class InfoList(NamedTuple):
    """One list the kernel keeps. The RDS6 option lists IPv4 and IPv6 and is asked first; the older one knows the
    ``tos`` of connections, and is all there is before Linux v4.19. ``module`` must be loaded for it to exist."""

    name: str
    v6: InfoOption | None
    v4: InfoOption
    module: str = "rds"

    @property
    def options(self) -> tuple[InfoOption, ...]:
        return (self.v4,) if self.v6 is None else (self.v6, self.v4)


LISTS = {
    name: InfoList(name, rds_info.OPTIONS.get(f"RDS6_INFO_{option}"), rds_info.OPTIONS[f"RDS_INFO_{option}"], module)
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


QUEUES = frozenset({"send", "retrans", "recv"})
"""The lists of messages."""
WITH_TOS = frozenset({"connections", "tcp"})
"""The lists whose ``tos`` only the older option has."""


def options_of(names: Collection[str]) -> list[InfoOption]:
    """The options to ask for these lists; the sockets come along with messages, to show whose each is."""
    wanted = {*names, "sockets"} if QUEUES.intersection(names) else names
    return [option for each in LISTS.values() if each.name in wanted for option in each.options]


def availability(readings: Sequence[Reading]) -> dict[str, str]:
    """Per list that was asked for: ``ok``, ``failed``, or ``unavailable`` (no such option in this kernel)."""
    result = {}
    for each in LISTS.values():
        answered = any(option.name in reading.answers for reading in readings for option in each.options)
        failures = {
            reading.failures[option.name]
            for reading in readings
            for option in each.options
            if option.name in reading.failures
        }
        if answered or failures:
            result[each.name] = "ok" if answered else "unavailable" if failures == {"ENOPROTOOPT"} else "failed"
    return result


def records(info_list: InfoList, answers: Mapping[str, InfoAnswer]) -> Iterator[Record]:
    """The records of one list: RDS6 rows completed from the older option, or that option alone."""
    newer = answers.get(info_list.v6.name) if info_list.v6 is not None else None
    older = answers.get(info_list.v4.name)
    if newer is not None:
        if info_list.name not in WITH_TOS:
            return newer.records()
        return with_tos(list(newer.records()), [] if older is None else list(older.records()))
    if older is None:
        return iter(())
    if info_list.name in {"send", "retrans"}:
        # __rds_inc_msg_cp() reads the IPv4 address from the first bytes of an IPv4-mapped one (every kernel up to
        # v7.3), which gives 0.0.0.0: no address is better than that one.
        return (
            record._replace(laddr=None, faddr=None) for record in older.records() if isinstance(record, QueuedMessage)
        )
    return older.records()


def with_tos(records: Sequence[Record], older: Sequence[Record]) -> Iterator[Record]:
    """Give connections and TCP sockets the ``tos`` that only the older option has.

    Rows are matched by what identifies them. Connections that differ in nothing but their tos are matched in the
    order of the list, which both options walk alike; where a list changed between the two readings and the order
    says nothing, tos stays unknown.
    """
    candidates: defaultdict[tuple[object, ...], list[int | None]] = defaultdict(list)
    for record in older:
        if isinstance(record, Connection | TcpSocket):
            candidates[identity(record)].append(record.tos)
    wanted = Counter(identity(record) for record in records if isinstance(record, Connection | TcpSocket))
    queues: dict[tuple[object, ...], Iterator[int | None]] = {
        key: iter(values) if len(values) == wanted[key] else repeat(values[0])
        for key, values in candidates.items()
        if len(values) == wanted[key] or len(set(values)) == 1
    }
    for record in records:
        if isinstance(record, Connection | TcpSocket):
            yield record._replace(tos=next(queues.get(identity(record), repeat(None))))
        else:
            yield record


def identity(record: Connection | TcpSocket) -> tuple[object, ...]:
    if isinstance(record, Connection):
        return record.laddr, record.faddr, record.transport
    return record.local_addr, record.local_port, record.peer_addr, record.peer_port
