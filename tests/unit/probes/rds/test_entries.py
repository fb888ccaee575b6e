# SPDX-License-Identifier: GPL-2.0-or-later
"""From raw answers to entries, with captures of booted kernels (see ../../data/rds/README.md)."""

import ctypes
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.native import rds_info
from kprobe_tool.native.netns import Netns
from kprobe_tool.native.procfs import Process
from kprobe_tool.native.rds import InfoAnswer
from kprobe_tool.native.rds_info import Connection, QueuedMessage, RdsSocket
from kprobe_tool.native.records import be16
from kprobe_tool.probes.rds import savefile
from kprobe_tool.probes.rds.ask import Capture, Reading
from kprobe_tool.probes.rds.entries import (
    InfoEntry,
    address_key,
    connection_state,
    entries,
    local_end,
    remote_end,
    sort_key,
)
from kprobe_tool.probes.rds.lists import LISTS, availability

DATA = Path(__file__).parents[2] / "data" / "rds"
CAPTURES = sorted(DATA.glob("*.json"))


@pytest.fixture(params=CAPTURES, ids=lambda path: path.stem)
def capture(request: pytest.FixtureRequest) -> Capture:
    loaded, host = savefile.load(str(request.param))
    assert host["release"] == request.param.stem
    return loaded


def test_every_source_is_in_the_captures(capture: Capture) -> None:
    found = Counter(entry.source for entry in entries(capture, LISTS))
    assert set(found) >= {"sockets", "connections", "tcp", "send", "retrans", "recv", "counters"}
    assert availability(capture.readings)["ib"] == "unavailable"


def test_order_does_not_depend_on_the_kernel_s(capture: Capture) -> None:
    """The kernel walks hash tables; its order is turned round here and must not show."""

    def reverse(answer: InfoAnswer) -> InfoAnswer:
        size = answer.record_size
        pieces = [answer.data[start : start + size] for start in range(0, len(answer.data), size)]
        return InfoAnswer(answer.option, size, b"".join(reversed(pieces)))

    other = Capture(
        [
            Reading(
                reading.netns,
                {name: reverse(answer) for name, answer in reading.answers.items()},
                reading.failures,
                reading.own_inodes,
            )
            for reading in reversed(capture.readings)
        ],
        capture.selected,
        capture.leaking,
        capture.local_addresses,
        capture.holders,
    )
    names = set(LISTS) - {"counters"}
    assert entries(other, names) == entries(capture, names)


def test_kernels_without_the_rds6_options_show_ipv4_only(capture: Capture) -> None:
    """As before Linux v4.19: IPv4 only, and no address at all instead of the kernel's 0.0.0.0."""
    old = Capture(
        [
            Reading(
                reading.netns,
                {name: answer for name, answer in reading.answers.items() if not name.startswith("RDS6_")},
                {name: "ENOPROTOOPT" for name in rds_info.OPTIONS if name.startswith("RDS6_")},
                reading.own_inodes,
            )
            for reading in capture.readings
        ],
        capture.selected,
    )
    found = entries(old, LISTS)
    queues = [entry.record for entry in found if entry.source in {"send", "retrans"}]
    assert queues
    assert {(local_end(record)[0], remote_end(record)[0]) for record in queues} == {(None, None)}
    assert all(entry.record._asdict()["tos"] is not None for entry in found if entry.source in {"connections", "tcp"})
    assert {entry.source for entry in found} >= {"sockets", "recv", "counters"}


def test_leaking_kernels_are_attributed() -> None:
    capture, _ = savefile.load(str(next(path for path in CAPTURES if path.stem.startswith("6.12.43"))))
    assert capture.leaking
    found = [entry for entry in entries(capture, LISTS) if entry.source == "tcp"]
    assert {entry.netns.name for entry in found if entry.netns} == {"kt-a", "kt-b"}
    # Asked for one namespace, the other's rows are left out.
    one = [space for space in capture.selected if space.name == "kt-a"]
    only = capture._replace(selected=one)
    left = [entry for entry in entries(only, LISTS) if entry.source == "tcp"]
    assert left == [entry for entry in found if entry.netns and entry.netns.name == "kt-a"]


def test_where_nothing_is_known_of_leaks_only_proof_counts() -> None:
    """A leaking kernel's rows, read where no second namespace may be made: they were ours once, all of them."""
    capture, _ = savefile.load(str(next(path for path in CAPTURES if path.stem.startswith("6.12.43"))))
    (reading, *_) = capture.readings
    asked = next(space for space in capture.selected if space.name == "kt-a")
    unknown = Capture([reading._replace(netns=None)], [asked], None)
    assert {entry.netns for entry in entries(unknown, LISTS)} == {None}
    # A socket that a process of the namespace holds is proof.
    ours = next(entry.record for entry in entries(capture, ["sockets"]) if entry.netns == asked)
    inode = ours._asdict()["inum"]
    held = unknown._replace(holders={inode: [Process(7, "ours", asked.inode)]})
    proven = [entry for entry in entries(held, LISTS) if entry.netns == asked]
    assert ours in [entry.record for entry in proven]
    assert all(entry.processes for entry in proven)
    # One that processes of two namespaces hold is none, and one of another namespace is not shown.
    both = unknown._replace(holders={inode: [Process(7, "ours", asked.inode), Process(8, "theirs", 1)]})
    assert not [entry for entry in entries(both, LISTS) if entry.netns == asked]
    theirs = unknown._replace(holders={inode: [Process(8, "theirs", 1)]})
    assert ours not in [entry.record for entry in entries(theirs, LISTS)]


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (0, "down"),
        (1, "down"),
        (2, "connecting"),
        (4, "connected"),
        (5, "connected"),
        (6, "connected"),
        (12, "error"),
    ],
)
def test_flags_give_a_connection_s_state(flags: int, name: str) -> None:
    assert connection_state(flags) == name


def socket_capture(holders: dict[int, list[Process]]) -> Capture:
    option = rds_info.OPTIONS["RDS6_INFO_SOCKETS"]
    record = rds_info.rds6_info_socket(sndbuf=1, rcvbuf=2, inum=77)
    space = Netns(4, 4026531840, name="blue")
    answers = {option.name: InfoAnswer(option, 52, bytes(record))}
    return Capture([Reading(space, answers, {})], [space], False, {}, holders)


def test_holders_are_in_the_order_of_their_pids() -> None:
    holders = [Process(3, "a"), Process(9, "b")]
    (entry,) = entries(socket_capture({77: holders}), ["sockets"])
    assert entry.processes == holders
    assert entry.netns == Netns(4, 4026531840, name="blue")


def test_a_socket_without_a_known_holder_has_no_process() -> None:
    (entry,) = entries(socket_capture({}), ["sockets"])
    assert entry.processes == ()


def test_only_connections_send() -> None:
    """A flag of connections, and of nothing else."""
    connection = Connection(1, 1, "10.0.0.1", "10.0.0.2", "tcp", 5, None)
    assert InfoEntry("connections", None, connection).sending is True
    assert InfoEntry("connections", None, connection._replace(flags=4)).sending is False
    assert InfoEntry("connections", None, connection._replace(flags=0)).sending is False
    assert InfoEntry("sockets", None, RdsSocket(1, "::", "::", 0, 0, 1, 7)).sending is None


def message_capture(netns: Netns | None, *, bound_port: int, **fields: Any) -> Capture:
    """A socket that pid 3 holds, and a message from its address."""
    sockets, queue = rds_info.OPTIONS["RDS6_INFO_SOCKETS"], rds_info.OPTIONS["RDS6_INFO_RECV_MESSAGES"]
    port = be16(bound_port >> 8, bound_port & 0xFF)
    sock = bytes(rds_info.rds6_info_socket(inum=77, bound_port=port))
    message = bytes(rds_info.rds6_info_message(seq=1, lport=port))
    answers = {
        sockets.name: InfoAnswer(sockets, len(sock), sock),
        queue.name: InfoAnswer(queue, len(message), message),
    }
    return Capture([Reading(netns, answers, {})], [BLUE], False, holders={77: [Process(3, "a", 5)]}, **fields)


BLUE = Netns(4, 4026531840, name="blue")


def test_a_message_belongs_to_the_socket_of_its_port() -> None:
    """By the socket that is bound to its port; one that is bound to none has no messages."""
    (entry,) = entries(message_capture(BLUE, bound_port=4000), ["recv"])
    assert entry.processes == [Process(3, "a", 5)]
    (entry,) = entries(message_capture(BLUE, bound_port=0), ["recv"])
    assert entry.processes == ()


def test_counters_are_shown_once() -> None:
    """They are the host's, whichever namespace is asked, and the first answer is as good as the second."""
    option = rds_info.OPTIONS["RDS_INFO_COUNTERS"]
    raw = bytes(ctypes.sizeof(rds_info.rds_info_counter))
    reading = Reading(BLUE, {option.name: InfoAnswer(option, len(raw), raw)}, {})
    found = entries(Capture([reading, reading], [BLUE], False), ["counters"])
    assert [entry.netns for entry in found] == [None]


def test_no_address_comes_before_ipv4_and_ipv4_before_ipv6() -> None:
    values = ["10.0.0.10", None, "::1", "10.0.0.9"]
    assert sorted(values, key=address_key) == [None, "10.0.0.9", "10.0.0.10", "::1"]


def test_a_field_that_is_not_known_comes_before_others() -> None:
    """Two connections that only their type of service tells apart, which one of them has not."""
    unknown = Connection(1, 1, "10.0.0.1", "10.0.0.2", "tcp", 5)
    found = [InfoEntry("connections", BLUE, record) for record in (unknown._replace(tos=0), unknown)]
    assert [entry.record for entry in sorted(found, key=sort_key)] == [unknown, unknown._replace(tos=0)]


def test_messages_are_in_the_order_of_their_ports_and_then_of_their_numbers() -> None:
    """A port that is 0 is one as well."""
    wanted = [(0, 9, 9), (1, 1, 9), (2, 0, 9), (2, 1, 8), (2, 2, 1), (2, 2, 7)]
    messages = [
        QueuedMessage(seq, 0, "10.0.0.1", "10.0.0.2", lport, fport, 0) for lport, fport, seq in reversed(wanted)
    ]
    found = sorted((InfoEntry("send", BLUE, message) for message in messages), key=sort_key)
    records = [entry.record for entry in found]
    assert [(each.lport, each.fport, each.seq) for each in records if isinstance(each, QueuedMessage)] == wanted


def test_two_with_a_field_that_is_not_known_are_told_apart_by_the_others() -> None:
    first, second = (Connection(number, 1, "10.0.0.1", "10.0.0.2", "tcp", 5) for number in (1, 2))
    found = [InfoEntry("connections", BLUE, record) for record in (second, first)]
    assert [entry.record for entry in sorted(found, key=sort_key)] == [first, second]


def test_entries_that_are_not_wanted_are_left_out() -> None:
    capture = message_capture(BLUE, bound_port=4000)
    assert [entry.source for entry in entries(capture, LISTS, lambda entry: entry.source == "recv")] == ["recv"]
    assert entries(capture, LISTS, lambda entry: False) == []
