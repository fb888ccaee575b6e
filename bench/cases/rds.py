# SPDX-License-Identifier: GPL-2.0-or-later
"""RDS: many sockets, many network namespaces. In User Mode Linux, which has RDS and runs at native speed."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from kprobe_tool.native import rds

from .. import peers
from ..figures import Figure, Measurements, divide
from ..model import OURS, Case, Command, Contenders, Mark, Missing, Place, linear, tool

THEIRS = "C rds-info"
LOOP = "ip netns exec NS rds-info, in a loop"
ALLOWED = 100
"""Files besides the sockets."""


@contextmanager
def sockets(count: int) -> Iterator[None]:
    """So many bound RDS sockets, all of one process."""
    reading, writing = os.pipe()
    ready, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(writing)
            resource.setrlimit(resource.RLIMIT_NOFILE, (count + ALLOWED, count + ALLOWED))
            kept = []
            for _ in range(count):
                kept.append(rds.open_socket())
                rds.bind(kept[-1].fileno(), "127.0.0.1", 0)
            os.write(done, b".")
            os.read(reading, 1)
        finally:
            os._exit(0)
    os.close(done)
    try:
        if not os.read(ready, 1):
            raise OSError(f"{count} RDS sockets could not be made")
        yield
    finally:
        for fd in (reading, writing, ready):
            os.close(fd)
        os.waitpid(pid, 0)


@contextmanager
def socket_list(size: int) -> Iterator[Contenders]:
    with sockets(size):
        yield {OURS: tool("rds-info", "-k", "-o", "jsonl"), THEIRS: peers.given("RDS_INFO", "-k")}


@contextmanager
def namespaces(size: int) -> Iterator[Contenders]:
    """So many named network namespaces."""
    names = [f"bench{number}" for number in range(size)]
    batch("add", names)
    info = os.environ.get("RDS_INFO")
    loop = f'for ns in {" ".join(names)}; do ip netns exec "$ns" "$RDS_INFO" -k; done'
    try:
        yield {
            OURS: tool("rds-info", "--all-netns", "-k", "-o", "jsonl"),
            LOOP: Command(["sh", "-c", loop], rounds=1) if info else Missing("not given: RDS_INFO=PATH"),
        }
    finally:
        batch("del", names)


def batch(verb: str, names: list[str]) -> None:
    lines = "".join(f"netns {verb} {name}\n" for name in names)
    subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)


def times_faster(seen: Measurements) -> Figure | None:
    """Per namespace, the start of ours and of the loop's shell left out."""
    return divide(seen.marginal(LOOP), seen.marginal(OURS))


def times_theirs(seen: Measurements) -> Figure | None:
    return divide(seen.marginal(OURS), seen.marginal(THEIRS))


def microseconds(seconds: Figure | None) -> Figure | None:
    return None if seconds is None else seconds * 1e6


CASES = (
    Case(
        "rds-sockets",
        6,
        "`rds-info -k -o jsonl`",
        socket_list,
        [
            Mark("CPU per row", lambda seen: microseconds(seen.marginal(OURS)), 10, "µs"),
            Mark(f"CPU per row, {OURS} / {THEIRS}", times_theirs, 5),
            linear(OURS),
        ],
        sizes=(0, 500, 5_000, 50_000),
        unit="sockets",
        place=Place.UML,
        rounds=5,
        note="Of a row the JSON encoder has 4 to 5 µs; then who holds the socket (readlink in /proc/PID/fd, once a "
        "socket), the order of the rows, and the objects of a row. C prints seven numbers and asks nobody.",
    ),
    Case(
        "rds-namespaces",
        7,
        "`rds-info --all-netns -k -o jsonl`",
        namespaces,
        [Mark("times faster per namespace", times_faster, 100, at_least=True), linear(OURS)],
        sizes=(0, 40, 200, 1_000),
        unit="namespaces",
        place=Place.UML,
        rounds=3,
    ),
)
