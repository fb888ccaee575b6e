# SPDX-License-Identifier: GPL-2.0-or-later
"""The records of one list, from the options that answer for it."""

from pathlib import Path

import pytest

from kprobe_tool.native import rds_info
from kprobe_tool.native.rds import InfoAnswer
from kprobe_tool.native.rds_info import Connection, RdsSocket, TcpSocket
from kprobe_tool.native.records import be32
from kprobe_tool.probes.rds import savefile
from kprobe_tool.probes.rds.ask import Reading
from kprobe_tool.probes.rds.lists import LISTS, availability, options_of, records, with_tos

DATA = Path(__file__).parents[2] / "data" / "rds"
HERE, THERE = be32(127, 0, 0, 1), be32(127, 0, 0, 2)
CAPTURES = sorted(DATA.glob("*.json"))


def test_the_sockets_come_along() -> None:
    assert [option.name for option in options_of(["recv"])] == [
        "RDS6_INFO_SOCKETS",
        "RDS_INFO_SOCKETS",
        "RDS6_INFO_RECV_MESSAGES",
        "RDS_INFO_RECV_MESSAGES",
    ]


def test_the_sockets_are_asked_for_where_they_say_something() -> None:
    """A host can have 100,000 of them, and each costs a look at who holds it."""
    assert [option.name for option in options_of(["counters"])] == ["RDS_INFO_COUNTERS"]


@pytest.mark.parametrize(
    ("failures", "state"),
    [
        ({"RDS6_INFO_TCP_SOCKETS": "ENOPROTOOPT", "RDS_INFO_TCP_SOCKETS": "ENOPROTOOPT"}, "unavailable"),
        ({"RDS6_INFO_TCP_SOCKETS": "ENOPROTOOPT", "RDS_INFO_TCP_SOCKETS": "ENOMEM"}, "failed"),
        ({"RDS6_INFO_TCP_SOCKETS": "ENOMEM"}, "failed"),
    ],
)
def test_a_list_that_failed_is_not_one_that_is_not_there(failures: dict[str, str], state: str) -> None:
    assert availability([Reading(None, {}, failures)]) == {"tcp": state}


def test_one_option_that_answers_is_enough() -> None:
    """As on kernels without the RDS6 options, and in one namespace of two."""
    option = LISTS["tcp"].v4
    answered = Reading(None, {option.name: InfoAnswer(option, 1, b"")}, {"RDS6_INFO_TCP_SOCKETS": "ENOPROTOOPT"})
    failed = Reading(None, {}, {option.name: "ENOMEM"})
    assert availability([answered]) == {"tcp": "ok"}
    assert availability([failed, answered]) == {"tcp": "ok"}


def test_only_messages_that_wait_to_be_sent_have_no_address() -> None:
    """What was received has the addresses that the kernel copied whole."""
    option = LISTS["recv"].v4
    raw = bytes(rds_info.rds_info_message(laddr=HERE, faddr=THERE))
    answers = {option.name: InfoAnswer(option, len(raw), raw)}
    (record,) = records(LISTS["recv"], answers)
    assert (record._asdict()["laddr"], record._asdict()["faddr"]) == ("127.0.0.1", "127.0.0.2")
    for name in ("send", "retrans"):
        option = LISTS[name].v4
        (record,) = records(LISTS[name], {option.name: InfoAnswer(option, len(raw), raw)})
        assert (record._asdict()["laddr"], record._asdict()["faddr"]) == (None, None)
    option = LISTS["sockets"].v4
    raw = bytes(rds_info.rds_info_socket(bound_addr=HERE))
    (record,) = records(LISTS["sockets"], {option.name: InfoAnswer(option, len(raw), raw)})
    assert record._asdict()["bound_addr"] == "127.0.0.1"


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_no_row_is_lost(path: Path) -> None:
    """As many rows as the RDS6 options have records."""
    capture, _ = savefile.load(str(path))
    for reading in capture.readings:
        for each in LISTS.values():
            raw = [reading.answers[option.name] for option in each.options if option.name in reading.answers]
            if raw:
                assert len(list(records(each, reading.answers))) == len(raw[0])


def connection(tos: int | None, faddr: str = "10.0.0.2", seq: int = 1) -> Connection:
    return Connection(seq, seq, "10.0.0.1", faddr, "infiniband", 4, tos)


@pytest.mark.parametrize(
    ("newer", "older", "tos"),
    [
        # One connection: the sequence number moved in between and does not matter.
        ([connection(None)], [connection(3, seq=9)], [3]),
        # Several between the same addresses: the order of the list tells them apart.
        ([connection(None, seq=1), connection(None, seq=2)], [connection(0), connection(5)], [0, 5]),
        # One went away in between, and the rest are alike.
        ([connection(None)], [connection(5), connection(5)], [5]),
        # One went away in between, and nothing tells which.
        ([connection(None)], [connection(0), connection(5)], [None]),
        # Not in the older list at all.
        ([connection(None)], [connection(1, faddr="10.0.0.3")], [None]),
        ([connection(None)], [], [None]),
    ],
)
def test_tos_comes_from_the_older_option(
    newer: list[Connection], older: list[Connection], tos: list[int | None]
) -> None:
    assert [record._asdict()["tos"] for record in with_tos(newer, older)] == tos


def test_a_connection_of_both_options_has_the_older_one_s_tos() -> None:
    asked = LISTS["connections"]
    assert asked.v6 is not None
    older = bytes(rds_info.rds_info_connection(laddr=HERE, faddr=THERE, transport=b"tcp", tos=3))
    address = b"\0" * 10 + b"\xff" * 2 + bytes([127, 0, 0])
    newer = bytes(16) + address + b"\1" + address + b"\2" + b"tcp".ljust(16, b"\0") + b"\0"
    answers = {
        option.name: InfoAnswer(option, len(raw), raw) for option, raw in ((asked.v4, older), (asked.v6, newer))
    }
    (record,) = records(asked, answers)
    assert (record._asdict()["faddr"], record._asdict()["tos"]) == ("127.0.0.2", 3)


def test_other_records_pass_unchanged() -> None:
    sock = RdsSocket(1, "::", "::", 0, 0, 1, 7)
    assert list(with_tos([sock], [])) == [sock]
    tcp = TcpSocket("10.0.0.1", 1, "10.0.0.2", 2, 0, 0, 0, 0, 0)
    assert list(with_tos([tcp], [])) == [tcp]
