# SPDX-License-Identifier: GPL-2.0-or-later
"""Entries beside conditions: which of them a user wants to see."""

import pytest

from kprobe_tool.native.procfs import Process
from kprobe_tool.native.rds_info import Connection, Counter, QueuedMessage
from kprobe_tool.probes.rds.entries import InfoEntry
from kprobe_tool.probes.rds.filter import InfoFilter, network
from kprobe_tool.probes.rds.matching import matches

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
    assert matches(info_filter, QUEUED) is match


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
    assert matches(info_filter, CONNECTED) is match


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
    assert matches(info_filter, COUNTER) is match


def test_counter_names_are_for_counters() -> None:
    assert matches(InfoFilter(counter=("send_*",)), QUEUED)
