# SPDX-License-Identifier: GPL-2.0-or-later
"""Which entries a user wants to see."""

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.native.rds_info import (
    Connection,
    Counter,
    QueuedMessage,
    RdmaConnection,
    RdsSocket,
    Record,
    TcpSocket,
)
from kprobe_tool.probes.rds.filter import CONCERNED, InfoFilter, network
from kprobe_tool.probes.rds.lists import LISTS


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
