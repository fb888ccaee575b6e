# SPDX-License-Identifier: GPL-2.0-or-later
"""Which entries a user wants to see."""

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.native.procfs import Process
from kprobe_tool.native.rds_info import (
    Connection,
    Counter,
    QueuedMessage,
    RdmaConnection,
    RdsSocket,
    Record,
    TcpSocket,
)
from kprobe_tool.probes.rds.entries import InfoEntry
from kprobe_tool.probes.rds.filter import CONCERNED, InfoFilter, network
from kprobe_tool.probes.rds.lists import LISTS

QUEUED = InfoEntry(
    "recv",
    None,
    QueuedMessage(seq=1, len=2, laddr="10.0.0.1", faddr="fd00::2", lport=1, fport=2, flags=0),
    [Process(3, "a"), Process(9, "b")],
)
CONNECTED = InfoEntry("connections", None, Connection(1, 1, "10.0.0.1", "10.0.0.2", "tcp", flags=4, tos=0))
COUNTER = InfoEntry("counters", None, Counter("send_queued", 1))


@pytest.mark.parametrize(
    ("info_filter", "match"),
    [
        (InfoFilter(), True),
        (InfoFilter(laddr=(network("10.0.0.0/8"),)), True),
        (InfoFilter(laddr=(network("10.0.0.1"), network("::/0"))), True),
        (InfoFilter(laddr=(network("::/0"),)), False),
        (InfoFilter(faddr=(network("fd00::/16"),)), True),
        (InfoFilter(lport=(1, 7)), True),
        (InfoFilter(fport=(7,)), False),
        (InfoFilter(pid=(9,)), True),
        (InfoFilter(pid=(4,)), False),
        # The record has no such field, or does not know it.
        (InfoFilter(state=("connected",)), False),
        (InfoFilter(tos=(0,)), False),
        (InfoFilter(lport=(1,), fport=(7,)), False),
    ],
)
def test_messages_match_their_filters(info_filter: InfoFilter, match: bool) -> None:
    assert info_filter.match(QUEUED) is match


@pytest.mark.parametrize(
    ("info_filter", "match"),
    [
        (InfoFilter(state=("connected",), transport=("tcp",), tos=(0, 3)), True),
        (InfoFilter(state=("down",)), False),
        (InfoFilter(transport=("loopback",)), False),
        (InfoFilter(tos=(3,)), False),
        (InfoFilter(lport=(0,)), False),
        (InfoFilter(pid=(3,)), False),
    ],
)
def test_connections_match_their_filters(info_filter: InfoFilter, match: bool) -> None:
    assert info_filter.match(CONNECTED) is match


@pytest.mark.parametrize(
    ("info_filter", "match"),
    [
        (InfoFilter(), True),
        (InfoFilter(counter=("send_*", "x")), True),
        (InfoFilter(counter=("recv*",)), False),
        (InfoFilter(lport=(1,)), False),
    ],
)
def test_counters_are_filtered_by_name(info_filter: InfoFilter, match: bool) -> None:
    assert info_filter.match(COUNTER) is match


def test_counter_names_are_for_counters() -> None:
    assert InfoFilter(counter=("send_*",)).match(QUEUED)


@pytest.mark.parametrize("text", ["", "10.0.0", "10.0.0.0/33", "fd00::/x"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(Error, match="an address or a prefix"):
        network(text)


RECORDS: dict[str, type[Record]] = {
    "sockets": RdsSocket,
    "connections": Connection,
    "tcp": TcpSocket,
    "ib": RdmaConnection,
    "send": QueuedMessage,
    "retrans": QueuedMessage,
    "recv": QueuedMessage,
    "counters": Counter,
}
FIELDS = {
    "laddr": ("laddr", "bound_addr", "local_addr", "src_addr"),
    "faddr": ("faddr", "connected_addr", "peer_addr", "dst_addr"),
    "lport": ("lport", "bound_port", "local_port"),
    "fport": ("fport", "connected_port", "peer_port"),
    "tos": ("tos",),
    "state": ("flags", "transport"),
    "transport": ("transport",),
    "pid": ("bound_port", "lport"),
    "counter": ("value",),
}


def test_conditions_concern_the_lists_that_have_their_fields() -> None:
    assert list(RECORDS) == list(LISTS)
    for condition, names in FIELDS.items():
        having = {
            name
            for name, record in RECORDS.items()
            if not set(names).isdisjoint(record._fields)
            and (condition != "state" or {"flags", "transport"} <= set(record._fields))
        }
        assert having == CONCERNED[condition], condition


def test_counter_leaves_other_lists_alone() -> None:
    assert all(InfoFilter(counter=("x",)).leaves_any(name) for name in LISTS)
    assert [name for name in LISTS if InfoFilter(counter=("x",), state=("down",)).leaves_any(name)] == ["connections"]


def test_a_filter_concerns_the_lists_that_all_its_conditions_do() -> None:
    assert all(InfoFilter().concerns(name) for name in LISTS)
    assert [name for name in LISTS if InfoFilter(counter=("x",)).concerns(name)] == ["counters"]
    assert [name for name in LISTS if InfoFilter(lport=(1,), pid=(1,)).concerns(name)] == [
        "sockets",
        "send",
        "retrans",
        "recv",
    ]
