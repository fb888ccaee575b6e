"""The records of one list, from the options that answer for it."""

from pathlib import Path

import pytest

from kprobe_tool.native.rds_info import Connection, RdsSocket, TcpSocket
from kprobe_tool.probes.rds import savefile
from kprobe_tool.probes.rds.ask import Reading
from kprobe_tool.probes.rds.lists import LISTS, availability, options_of, records, with_tos

DATA = Path(__file__).parents[2] / "data" / "rds"
CAPTURES = sorted(DATA.glob("*.json"))


def test_the_sockets_come_along() -> None:
    assert [option.name for option in options_of(["recv"])] == [
        "RDS6_INFO_SOCKETS",
        "RDS_INFO_SOCKETS",
        "RDS6_INFO_RECV_MESSAGES",
        "RDS_INFO_RECV_MESSAGES",
    ]


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
    assert [vars(record)["tos"] for record in with_tos(newer, older)] == tos


def test_other_records_pass_unchanged() -> None:
    sock = RdsSocket(1, "::", "::", 0, 0, 1, 7)
    assert list(with_tos([sock], [])) == [sock]
    tcp = TcpSocket("10.0.0.1", 1, "10.0.0.2", 2, 0, 0, 0, 0, 0)
    assert list(with_tos([tcp], [])) == [tcp]
