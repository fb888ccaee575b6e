"""Many RDS sockets: rds-info shows them all, and an audit comes to its verdicts beside them.

Opt-in: KPROBE_TOOL_LOAD says how many sockets ('make load' takes 60,000). One table of the kernel's holds the bound
sockets of all namespaces, and it ends before that (net/rds/bind.c, max_size of ht_parms): the others stay unbound.
"""

import errno
import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from kprobe_tool.probes.rds import experiment as rds

from .tool import tool

SOCKETS = int(os.environ.get("KPROBE_TOOL_LOAD", "0"))
pytestmark = [
    pytest.mark.skipif(not SOCKETS, reason="KPROBE_TOOL_LOAD=60000 runs it"),
    pytest.mark.limit(1800),
]

FIRST, PORTS = 10_000, 20_000
"""The first port that is bound on each address, and how many from there on."""
BOUND_MIN = 2 * 16384
"""lib/rhashtable.c, rhashtable_init_noprof(): a table takes twice as many entries as it may have buckets."""
SPARE = 1000

AF_RDS = 21


@dataclass(frozen=True)
class Crowd:
    """Sockets of this process; the first ones are bound, each to an address and port of its own."""

    sockets: list[socket.socket]
    names: list[tuple[str, int]]

    def __str__(self) -> str:
        return f"{len(self.sockets):,} RDS sockets, {len(self.names):,} of them bound"

    def close_bound(self, count: int) -> None:
        for each in self.sockets[:count]:
            each.close()
        del self.sockets[:count], self.names[:count]


@pytest.fixture(scope="module")
def crowd(modprobe: Callable[..., None]) -> Iterator[Crowd]:
    """SOCKETS sockets, bound on 127.0.0.1 and the addresses after it until the kernel's table is full."""
    modprobe("rds", "rds_tcp")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (SOCKETS + SPARE,) * 2)
    made = Crowd([socket.socket(AF_RDS, socket.SOCK_SEQPACKET) for _ in range(SOCKETS)], [])
    for number, each in enumerate(made.sockets):
        address, port = divmod(number, PORTS)
        name = (f"127.0.0.{1 + address}", FIRST + port)
        try:
            each.bind(name)
        except OSError as error:
            assert error.errno == errno.ENOMEM and number >= BOUND_MIN, number
            break
        made.names.append(name)
    yield made
    for each in made.sockets:
        each.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_all_sockets_are_shown(crowd: Crowd) -> None:
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    answer = tool("rds-info", "--sockets", "-o", "json")
    assert answer.code == 0, answer.err
    rows = answer.json["results"]
    assert {(row["bound_addr"], row["bound_port"]) for row in rows} >= set(crowd.names)
    assert {row["inum"] for row in rows} >= {os.fstat(each.fileno()).st_ino for each in crowd.sockets}
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - ours
    print(f"{crowd}: rds-info: {time.monotonic() - began:.1f} s, {more >> 10} MiB more at most")


def audit(crowd: Crowd) -> dict[str, dict[str, str]]:
    began = time.monotonic()
    answer = tool("audit", "--only", "rds", "-o", "json", "--fail-on", "never")
    assert answer.code in {0, 3}, answer.err
    rows: dict[str, dict[str, str]] = {row["id"]: row for row in answer.json["results"]}
    statuses = ", ".join(f"{name} {row['status']}" for name, row in rows.items())
    print(f"{crowd}: audit: {time.monotonic() - began:.1f} s: {statuses}")
    return rows


def test_a_full_table_is_unknown(crowd: Crowd) -> None:
    if len(crowd.sockets) == len(crowd.names):
        pytest.skip("these sockets do not fill the kernel's table of bound ones")
    rds.attempt.cache_clear()
    for row in audit(crowd).values():
        assert row["status"] == "unknown", row
        assert "full" in row["settle"] and "ENOMEM" in row["reason"], row


def test_every_check_has_a_verdict_where_there_is_room(crowd: Crowd) -> None:
    if len(crowd.sockets) > len(crowd.names):
        crowd.close_bound(SPARE)
    rds.attempt.cache_clear()
    assert "unknown" not in {row["status"] for row in audit(crowd).values()}
