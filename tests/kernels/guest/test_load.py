"""Many RDS sockets: rds-info shows them all, and an audit comes to its verdicts beside them.

Opt-in: KPROBE_TOOL_LOAD says how many sockets ('make load' takes 60,000).
"""

import os
import resource
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from .tool import tool

SOCKETS = int(os.environ.get("KPROBE_TOOL_LOAD", "0"))
pytestmark = pytest.mark.skipif(not SOCKETS, reason="KPROBE_TOOL_LOAD=60000 runs it")

FIRST, PORTS = 10_000, 20_000
"""The first port that is bound on each address, and how many from there on."""
SPARE = 1000

AF_RDS = 21


@pytest.fixture(scope="module")
def crowd(modprobe: Callable[..., None]) -> Iterator[int]:
    """Bind SOCKETS sockets on 127.0.0.1 and the addresses after it. Returns their number."""
    modprobe("rds", "rds_tcp")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (SOCKETS + SPARE,) * 2)
    sockets = []
    for number in range(SOCKETS):
        each = socket.socket(AF_RDS, socket.SOCK_SEQPACKET)
        address, port = divmod(number, PORTS)
        each.bind((f"127.0.0.{1 + address}", FIRST + port))
        sockets.append(each)
    yield len(sockets)
    for each in sockets:
        each.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_all_sockets_are_shown(crowd: int) -> None:
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    answer = tool("rds-info", "--sockets", "-o", "json")
    assert answer.code == 0, answer.err
    shown = {(row["bound_addr"], row["bound_port"]) for row in answer.json["results"] if row["bound_port"] >= FIRST}
    assert len(shown) == crowd
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - ours
    print(f"{crowd:,} RDS sockets: {time.monotonic() - began:.1f} s, {more >> 10} MiB more at most")


def test_every_check_has_a_verdict(crowd: int) -> None:
    began = time.monotonic()
    answer = tool("audit", "--only", "rds", "-o", "json", "--fail-on", "never")
    assert (answer.code, answer.err) == (0, "")
    statuses = {row["id"]: row["status"] for row in answer.json["results"]}
    print(f"{crowd:,} RDS sockets: {time.monotonic() - began:.1f} s: {statuses}")
    assert "unknown" not in statuses.values()
