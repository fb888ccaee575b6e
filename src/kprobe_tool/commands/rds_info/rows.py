# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON rows of rds-info, and what people see of them: titles and columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kprobe_tool.probes.rds.entries import InfoEntry
from kprobe_tool.report.document import Column, Row, Table


def entry_row(entry: InfoEntry) -> Row:
    """The JSON object of one entry: ``source``, ``netns`` ({name, inode, pid}, or None where it is not known), the
    fields of the kernel's structure, ``state`` and ``sending`` of connections, and ``pid comm holders`` of the
    processes that hold the socket."""
    source, space, record, processes = entry
    row: dict[str, object] = {"source": source, "netns": None, **record._asdict()}
    if space is not None:
        row["netns"] = {"name": space.name, "inode": space.inode, "pid": space.pid}
    if entry.state is not None:
        row["state"] = entry.state
        row["sending"] = entry.sending
    if processes is not None:
        row["pid"] = processes[0].pid if processes else None
        row["comm"] = processes[0].comm if processes else None
        row["holders"] = [process.pid for process in processes]
    return row


class EntryRows:
    """The rows of entries, each made when it is printed."""

    def __init__(self, entries: Sequence[InfoEntry]) -> None:
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Row]:
        return map(entry_row, self.entries)


def netns_cell(row: Row) -> object:
    space = row["netns"]
    if not isinstance(space, Mapping):
        return None
    return space["name"] or f"net:[{space['inode']}]"


def holder_cell(row: Row) -> object:
    return f"{row['pid']}/{row['comm']}" if row.get("pid") is not None else None


def state_colour(value: object) -> str | None:
    return {"connected": "green", "error": "red", "connecting": "yellow"}.get(str(value))


NETNS = Column("NETNS", netns_cell)
HOLDER = Column("PROCESS", holder_cell)
NAME = Column("NAME", "name")
QUEUE = (
    Column("LADDR", "laddr"),
    Column("LPORT", "lport", right=True),
    Column("FADDR", "faddr"),
    Column("FPORT", "fport", right=True),
    Column("SEQ", "seq", right=True),
    Column("LEN", "len", right=True),
    Column("TOS", "tos", right=True, wide=True),
    Column("FLAGS", "flags", right=True, wide=True),
    HOLDER,
)
SECTIONS: Mapping[str, tuple[str, Sequence[Column]]] = {
    "sockets": (
        "RDS sockets",
        (
            Column("BOUND_ADDR", "bound_addr"),
            Column("PORT", "bound_port", right=True),
            Column("CONNECTED_ADDR", "connected_addr"),
            Column("PORT", "connected_port", right=True),
            Column("SNDBUF", "sndbuf", right=True, wide=True),
            Column("RCVBUF", "rcvbuf", right=True, wide=True),
            Column("INUM", "inum", right=True),
            HOLDER,
        ),
    ),
    "connections": (
        "RDS connections",
        (
            Column("LADDR", "laddr"),
            Column("FADDR", "faddr"),
            Column("TRANSPORT", "transport"),
            Column("TOS", "tos", right=True),
            Column("STATE", "state", colour=state_colour),
            Column("SENDING", "sending", wide=True),
            Column("NEXT_TX", "next_tx_seq", right=True),
            Column("NEXT_RX", "next_rx_seq", right=True),
        ),
    ),
    "tcp": (
        "RDS/TCP connections",
        (
            Column("LOCAL_ADDR", "local_addr"),
            Column("PORT", "local_port", right=True),
            Column("PEER_ADDR", "peer_addr"),
            Column("PORT", "peer_port", right=True),
            Column("TOS", "tos", right=True, wide=True),
            Column("HDR_REM", "hdr_rem", right=True, wide=True),
            Column("DATA_REM", "data_rem", right=True, wide=True),
            Column("SENT_NXT", "last_sent_nxt", right=True),
            Column("EXPECT_UNA", "last_expected_una", right=True),
            Column("SEEN_UNA", "last_seen_una", right=True),
        ),
    ),
    "ib": (
        "RDS/IB connections",
        (
            Column("SRC_ADDR", "src_addr"),
            Column("DST_ADDR", "dst_addr"),
            Column("TOS", "tos", right=True),
            Column("SL", "sl", right=True),
            Column("SRC_GID", "src_gid"),
            Column("DST_GID", "dst_gid"),
            Column("SEND_WR", "max_send_wr", right=True, wide=True),
            Column("RECV_WR", "max_recv_wr", right=True, wide=True),
            Column("SEND_SGE", "max_send_sge", right=True, wide=True),
            Column("MR_MAX", "rdma_mr_max", right=True, wide=True),
            Column("MR_SIZE", "rdma_mr_size", right=True, wide=True),
            Column("CACHE_ALLOCS", "cache_allocs", right=True, wide=True),
        ),
    ),
    "send": ("Send queue", QUEUE),
    "retrans": ("Retransmit queue", QUEUE),
    "recv": ("Receive queue", QUEUE),
    "counters": ("Counters", (NAME, Column("VALUE", "value", right=True))),
}
DELTA = Column("DELTA", "delta", right=True)
EMPTY = {
    "ok": "none",
    "failed": "could not be read",
    "unavailable": "this kernel has no such list",
    None: "was not asked for",
}
"""What stands in the place of rows, by the state of the source."""
NO_MODULE = {"tcp": "none: rds_tcp is not loaded", "ib": "none: rds_rdma is not loaded"}


def tables(entries: Sequence[InfoEntry], sources: Mapping[str, str], wanted: Sequence[str]) -> list[Table]:
    """One table per source. Counters are the host's; every other row says which namespace it is from."""
    of_source: dict[str, list[InfoEntry]] = {name: [] for name in wanted}
    for entry in entries:
        of_source[entry.source].append(entry)
    result = []
    for name, mine in of_source.items():
        title, columns = SECTIONS[name]
        if name != "counters":
            columns = (NETNS, *columns)
        state = sources.get(name)
        empty = NO_MODULE.get(name, EMPTY[state]) if state == "unavailable" else EMPTY[state]
        result.append(Table(columns, EntryRows(mine), title=title, empty=empty))
    return result


def with_deltas(tables: Sequence[Table], previous: dict[str, int]) -> list[Table]:
    """The same tables with a ``delta`` in each counter's row; ``previous`` is brought up to date."""
    return [counters_with_deltas(table, previous) if NAME in table.columns else table for table in tables]


def counters_with_deltas(table: Table, previous: dict[str, int]) -> Table:
    rows = []
    for row in table.rows:
        name, value = str(row["name"]), int(str(row["value"]))
        rows.append({**row, "delta": value - previous[name] if name in previous else None})
        previous[name] = value
    return table._replace(columns=(*table.columns, DELTA), rows=rows)
