"""From raw answers to rows, with captures of booted kernels (see ../data/rds/README.md)."""

from collections import Counter
from pathlib import Path

import pytest

from kprobe_tool.native import rds
from kprobe_tool.native.netns import Netns
from kprobe_tool.native.procfs import Process
from kprobe_tool.native.rds import Connection, InfoAnswer, Socket, TcpSocket
from kprobe_tool.probes.rds import savefile
from kprobe_tool.probes.rds.ask import Capture, Reading
from kprobe_tool.probes.rds.entries import SOURCES, availability, merged, rows, state, with_tos
from kprobe_tool.probes.rds.filter import Filters, network

DATA = Path(__file__).parents[2] / "data" / "rds"
CAPTURES = sorted(DATA.glob("*.json"))


@pytest.fixture(params=CAPTURES, ids=lambda path: path.stem)
def capture(request: pytest.FixtureRequest) -> Capture:
    loaded, host = savefile.load(str(request.param))
    assert host["release"] == request.param.stem
    return loaded


def test_every_source_is_in_the_captures(capture: Capture) -> None:
    found = Counter(row["source"] for row in rows(capture, SOURCES))
    assert set(found) >= {"sockets", "connections", "tcp", "send", "retrans", "recv", "counters"}
    assert availability(capture)["ib"] == "unavailable"


def test_no_row_is_lost(capture: Capture) -> None:
    """As many rows as the RDS6 options have records, less the tool's own sockets."""
    for reading in capture.readings:
        for source in SOURCES.values():
            raw = [reading.answers[option.name] for option in source.options if option.name in reading.answers]
            if raw:
                assert len(list(merged(source, reading))) == len(raw[0])


def test_order_does_not_depend_on_the_kernel_s(capture: Capture) -> None:
    """The kernel walks hash tables; its order is turned round here and must not show."""

    def turned(answer: InfoAnswer) -> InfoAnswer:
        size = answer.record_size
        pieces = [answer.data[start : start + size] for start in range(0, len(answer.data), size)]
        return InfoAnswer(answer.option, size, b"".join(reversed(pieces)))

    other = Capture(
        [
            Reading(
                reading.netns,
                {name: turned(answer) for name, answer in reading.answers.items()},
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
    names = set(SOURCES) - {"counters"}
    assert rows(other, names) == rows(capture, names)


def test_without_the_rds6_options(capture: Capture) -> None:
    """As before Linux v4.19: IPv4 only, and no address at all instead of the kernel's 0.0.0.0."""
    old = Capture(
        [
            Reading(
                reading.netns,
                {name: answer for name, answer in reading.answers.items() if not name.startswith("RDS6_")},
                {name: "ENOPROTOOPT" for name in rds.OPTIONS if name.startswith("RDS6_")},
                reading.own_inodes,
            )
            for reading in capture.readings
        ],
        capture.selected,
    )
    found = rows(old, SOURCES)
    queues = [row for row in found if row["source"] in {"send", "retrans"}]
    assert queues
    assert {(row["laddr"], row["faddr"]) for row in queues} == {(None, None)}
    assert all(row["tos"] is not None for row in found if row["source"] in {"connections", "tcp"})
    assert {row["source"] for row in found} >= {"sockets", "recv", "counters"}


def test_leaking_kernels_are_attributed() -> None:
    capture, _ = savefile.load(str(next(path for path in CAPTURES if path.stem.startswith("6.12.43"))))
    assert capture.leaking
    names = {space.inode: space.name for space in capture.selected}
    found = [row for row in rows(capture, SOURCES) if row["source"] == "tcp"]
    spaces = [row["netns"] for row in found]
    assert {space["name"] for space in spaces if isinstance(space, dict)} == {"kt-a", "kt-b"} <= set(names.values())
    # Asked for one namespace, the other's rows are left out.
    one = [space for space in capture.selected if space.name == "kt-a"]
    only = Capture(capture.readings, one, True, capture.local_addresses, capture.holders)
    left = [row for row in rows(only, SOURCES) if row["source"] == "tcp"]
    assert left == [row for row in found if isinstance(row["netns"], dict) and row["netns"]["name"] == "kt-a"]


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
def test_state(flags: int, name: str) -> None:
    assert state(flags) == name


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
    sock = Socket(1, "::", "::", 0, 0, 1, 7)
    assert list(with_tos([sock], [])) == [sock]
    tcp = TcpSocket("10.0.0.1", 1, "10.0.0.2", 2, 0, 0, 0, 0, 0)
    assert list(with_tos([tcp], [])) == [tcp]


def socket_capture(holders: dict[int, list[Process]]) -> Capture:
    option = rds.OPTIONS["RDS6_INFO_SOCKETS"]
    record = rds.rds6_info_socket(sndbuf=1, rcvbuf=2, inum=77)
    space = Netns(4, 4026531840, name="blue")
    answers = {option.name: InfoAnswer(option, 52, bytes(record))}
    return Capture([Reading(space, answers, {})], [space], False, {}, holders)


def test_holders_lowest_pid_first() -> None:
    (row,) = rows(socket_capture({77: [Process(3, "a"), Process(9, "b")]}), ["sockets"])
    assert (row["pid"], row["comm"], row["holders"]) == (3, "a", [3, 9])
    assert row["netns"] == {"name": "blue", "inode": 4026531840, "pid": None}


def test_a_socket_of_nobody_we_know() -> None:
    (row,) = rows(socket_capture({}), ["sockets"])
    assert (row["pid"], row["comm"], row["holders"]) == (None, None, [])


ROW = {
    "source": "recv",
    "laddr": "10.0.0.1",
    "faddr": "fd00::2",
    "lport": 1,
    "fport": 2,
    "tos": None,
    "holders": [3, 9],
}


@pytest.mark.parametrize(
    ("filters", "match"),
    [
        (Filters(), True),
        (Filters(laddr=(network("10.0.0.0/8"),)), True),
        (Filters(laddr=(network("10.0.0.1"), network("::/0"))), True),
        (Filters(laddr=(network("::/0"),)), False),
        (Filters(faddr=(network("fd00::/16"),)), True),
        (Filters(lport=(1, 7)), True),
        (Filters(fport=(7,)), False),
        (Filters(pid=(9,)), True),
        (Filters(pid=(4,)), False),
        # The row has no such field, or does not know it.
        (Filters(state=("connected",)), False),
        (Filters(tos=(0,)), False),
        (Filters(lport=(1,), fport=(7,)), False),
    ],
)
def test_filters(filters: Filters, match: bool) -> None:
    assert filters.match(ROW) is match


@pytest.mark.parametrize(
    ("filters", "match"),
    [
        (Filters(), True),
        (Filters(counter=("send_*", "x")), True),
        (Filters(counter=("recv*",)), False),
        (Filters(lport=(1,)), False),
    ],
)
def test_counters_are_filtered_by_name(filters: Filters, match: bool) -> None:
    assert filters.match({"source": "counters", "name": "send_queued", "value": 1}) is match
