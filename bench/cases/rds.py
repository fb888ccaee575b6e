# SPDX-License-Identifier: GPL-2.0-or-later
"""RDS: many sockets, many network namespaces. In User Mode Linux, which has RDS and runs at native speed."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from kprobe_tool.native import netns, rds
from kprobe_tool.native.procfs import Process
from kprobe_tool.native.rds import InfoAnswer
from kprobe_tool.native.rds_info import OPTIONS, rds6_info_socket
from kprobe_tool.native.records import V4MAPPED_PREFIX, be16, in6_addr
from kprobe_tool.probes.host import identity
from kprobe_tool.probes.rds import savefile
from kprobe_tool.probes.rds.ask import Capture, Reading

from .. import peers
from ..figures import Figure, Measurements, divide
from ..model import OURS, Case, Command, Contenders, Mark, Missing, Place, linear, tool

THEIRS = "C rds-info"
LOOP = "ip netns exec NS rds-info, in a loop"
BOUND_MAX = 32_000
"""The kernel's table of bound sockets holds twice 16384 (net/rds/bind.c, ht_parms), the whole host's."""
SAVED = 50_000
ALLOWED = 100
"""Files besides the sockets."""


@contextmanager
def sockets(count: int) -> Iterator[None]:
    """So many bound RDS sockets, all of one process."""
    reading, writing = os.pipe()
    ready, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        kept = []
        try:
            os.close(writing)
            resource.setrlimit(resource.RLIMIT_NOFILE, (count + ALLOWED, count + ALLOWED))
            for _ in range(count):
                kept.append(rds.open_socket())
                rds.bind(kept[-1].fileno(), "127.0.0.1", 0)
            os.write(done, b".")
            os.read(reading, 1)
        except OSError as error:
            os.write(done, f"{len(kept)} of {count} RDS sockets: {error}".encode())
        finally:
            os._exit(0)
    os.close(done)
    try:
        if (answer := os.read(ready, 1000)) != b".":
            raise OSError(answer.decode())
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
def saved_list(size: int) -> Iterator[Contenders]:
    """The answers of a kernel that has so many sockets, all of one process."""
    option = OPTIONS["RDS6_INFO_SOCKETS"]
    space = netns.current()
    records = bytearray()
    for number in range(size):
        address = in6_addr(*V4MAPPED_PREFIX, 127, number >> 14, 0, 1)
        port = be16(*(number % (1 << 14) + 1024).to_bytes(2, "big"))
        records += rds6_info_socket(sndbuf=1, bound_addr=address, bound_port=port, rcvbuf=1, inum=number + 1)
    answer = InfoAnswer(option, ctypes.sizeof(rds6_info_socket), bytes(records))
    holders = {number + 1: [Process(1, "bench", space.inode)] for number in range(size)}
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/capture"
        savefile.save(
            path, Capture([Reading(space, {option.name: answer}, {})], [space], False, {}, holders), identity()
        )
        yield {OURS: tool("rds-info", "--from", path, "-k", "-o", "jsonl")}


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


EMULATED = (
    "In User Mode Linux a readlink(2) in /proc/PID/fd for each socket, to say who holds it, is about half of it (77 "
    "of 170 µs with 16,000 sockets, timed by itself). The next case is the same work natively and without that."
)
HOLDERS = (
    "C prints seven numbers of a record and asks nobody. Ours looks in /proc who holds the socket, puts the "
    "rows in order and writes JSON. The readlink(2) of each socket is about half of it in User Mode Linux."
)
ROW = (
    "A third is JSON (the encoder is C already), a quarter parsing what was saved, a quarter attributing a "
    "record to its namespace and process and the order of the rows, an eighth the row itself. A formatter of "
    "our own for this list would win some 3 µs, and be a second way to write a row."
)
FEW = (
    "Of 500 rows, some ms beyond the start, little is to be seen in a process's CPU time; from 5,000 to 50,000 "
    "rows it is linear."
)
ENTERING = (
    "A namespace is entered in a thread of its own, natively in 0.13 ms, where the loop takes 3 ms natively: 23 "
    "times faster is the most there is to win, without what it takes to find the namespaces by name, mount, "
    "open file and listns(2). In User Mode Linux entering takes longer the more there are, and all CPU time is "
    "the host's wall time."
)


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
            Mark("CPU per row", lambda seen: microseconds(seen.marginal(OURS)), 10, "µs", why=EMULATED),
            Mark(f"CPU per row, {OURS} / {THEIRS}", times_theirs, 5, why=HOLDERS),
            linear(OURS, why=EMULATED),
        ],
        sizes=(0, BOUND_MAX // 100, BOUND_MAX // 10, BOUND_MAX),
        unit="sockets",
        place=Place.UML,
        rounds=5,
        note="System calls and page faults of User Mode Linux cost many times what they cost natively, and its CPU "
        "time is the host's wall time: compare the contenders, not the milliseconds. More sockets than 32,769 cannot "
        "be bound on one host.",
    ),
    Case(
        "rds-saved",
        6,
        "`rds-info --from FILE -k -o jsonl`",
        saved_list,
        [
            Mark("CPU per row", lambda seen: microseconds(seen.marginal(OURS)), 10, "µs", why=ROW),
            linear(OURS, why=FEW),
        ],
        sizes=(0, SAVED // 100, SAVED // 10, SAVED),
        unit="sockets",
        rounds=5,
        note="The same rows without a kernel to ask, which can be measured where there is no RDS: parsing what was "
        "saved (JSON and base64) comes to it, looking for the processes does not.",
    ),
    Case(
        "rds-namespaces",
        7,
        "`rds-info --all-netns -k -o jsonl`",
        namespaces,
        [
            Mark("times faster per namespace", times_faster, 100, at_least=True, why=ENTERING),
            linear(OURS, why=ENTERING),
        ],
        sizes=(0, 40, 200, 1_000),
        unit="namespaces",
        place=Place.UML,
        rounds=3,
        note="In User Mode Linux a command's start, whose CPU time is the host's wall time, is seconds on a busy "
        "machine: then neither ratio nor exponent is worth much.",
    ),
)
