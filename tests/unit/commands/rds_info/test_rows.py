# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON rows of rds-info, and the cells that people see of them."""

from kprobe_tool.commands.rds_info.rows import entry_row, holder_cell, netns_cell, tables
from kprobe_tool.native.netns import Netns
from kprobe_tool.native.procfs import Process
from kprobe_tool.native.rds_info import Connection, Counter, RdsSocket
from kprobe_tool.probes.rds.entries import InfoEntry

BLUE = Netns(4, 4026531840, name="blue", path="/run/netns/blue")
SOCKET = RdsSocket(1, "10.0.0.1", "::", 5001, 0, 2, 77)


def test_a_socket_has_its_holders() -> None:
    row = entry_row(InfoEntry("sockets", BLUE, SOCKET, [Process(3, "a"), Process(9, "b")]))
    assert row == {
        "source": "sockets",
        "netns": {"name": "blue", "inode": 4026531840, "pid": None},
        **SOCKET._asdict(),
        "pid": 3,
        "comm": "a",
        "holders": [3, 9],
    }
    assert (netns_cell(row), holder_cell(row)) == ("blue", "3/a")


def test_a_socket_may_have_no_known_holder() -> None:
    row = entry_row(InfoEntry("sockets", None, SOCKET, []))
    assert (row["netns"], row["pid"], row["comm"], row["holders"]) == (None, None, None, [])
    assert (netns_cell(row), holder_cell(row)) == (None, None)


def test_connection_has_a_state_and_no_process() -> None:
    row = entry_row(InfoEntry("connections", Netns(4, 7), Connection(1, 1, "a", "b", "tcp", flags=5)))
    assert (row["state"], row["sending"]) == ("connected", True)
    assert "holders" not in row
    assert netns_cell(row) == "net:[7]"


def test_a_counter_has_a_name_and_a_value() -> None:
    row = entry_row(InfoEntry("counters", None, Counter("send_queued", 3)))
    assert row == {"source": "counters", "netns": None, "name": "send_queued", "value": 3}


def test_a_list_without_rows_says_why() -> None:
    sources = {"tcp": "unavailable", "sockets": "ok", "recv": "failed"}
    found = tables([], sources, ["tcp", "sockets", "recv", "send"])
    assert [table.empty for table in found] == [
        "none: rds_tcp is not loaded",
        "none",
        "could not be read",
        "was not asked for",
    ]
