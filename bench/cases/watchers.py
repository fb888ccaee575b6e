# SPDX-License-Identifier: GPL-2.0-or-later
"""What watching costs those who are watched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from tests import loads, skmsg

from kprobe_tool.native import bpf

from ..figures import Figure, Measurements
from ..model import OURS, Case, Command, Contenders, Mark, Missing, Place

ALONE = "nobody watches"
BPFTRACE = "bpftrace, one probe"
PATIENCE = 300.0
"""Seconds for a watcher to be ready: bcc compiles for a minute in an emulated machine."""
LOST = ("dropped", "missed")
CALLS = 1_000_000


@contextmanager
def watcher(argv: Sequence[str], ready: bytes) -> Iterator[Mapping[str, float]]:
    """A process that watches, begun when it has written ``ready``. Its summary is read when it has been interrupted:
    how many events it ``seen``, and how many it ``lost``."""
    counts: dict[str, float] = {}
    with tempfile.NamedTemporaryFile() as output, subprocess.Popen(argv, stdout=output, stderr=output) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while ready not in said(output.name):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise OSError(f"{argv[0]} does not watch: {said(output.name).decode(errors='replace')[-200:]}")
                time.sleep(0.05)
            yield counts
            # What was seen last is still on its way.
            time.sleep(0.5)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)
        for line in said(output.name).splitlines():
            if b'"type": "summary"' in line:
                summary = json.loads(line)
                counts["seen"] = summary["seen"]
                counts["lost"] = sum(summary[name] for name in LOST if name in summary)


def said(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def watched_by(argv: Sequence[str], ready: bytes) -> Callable[[], AbstractContextManager[Mapping[str, float]]]:
    return partial(watcher, argv, ready)


def beside(work: Callable[[], None], command: Sequence[str], probe: str) -> Contenders:
    """The work alone, beside our watcher, and beside bpftrace with one probe."""
    bpftrace = shutil.which("bpftrace", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    ours = [sys.executable, "-m", "kprobe_tool", *command, "-o", "jsonl"]
    theirs = [bpftrace or "bpftrace", "-e", f'{probe} {{ @ = count(); }} BEGIN {{ printf("ready\\n"); }}']
    return {
        ALONE: Command(work),
        OURS: Command(work, around=watched_by(ours, b'"type": "header"')),
        BPFTRACE: Command(work, around=watched_by(theirs, b"ready")) if bpftrace else Missing("not installed"),
    }


def load(text: str, level: int, count: int) -> None:
    made = loads.Buffers(loads.program(text, "bench"), level, loads.LOG_SIZE if level else 0)
    for _ in range(count):
        loads.call_bpf(bpf.BPF_PROG_LOAD, made.attr)


@contextmanager
def failing_loads(count: int) -> Iterator[Contenders]:
    work = partial(load, loads.REFUSED[0][0], 1, count)
    yield beside(work, ["verifier-log", "watch"], "tracepoint:syscalls:sys_enter_bpf")


@contextmanager
def successful_loads(count: int) -> Iterator[Contenders]:
    straight = "; ".join(["r0 = 0", *["r0 += 1"] * 500, "exit"])
    yield beside(partial(load, straight, 0, count), ["verifier-log", "watch"], "tracepoint:syscalls:sys_enter_bpf")


def call_getppid(count: int) -> None:
    for _ in range(count):
        os.getppid()


@contextmanager
def system_calls(count: int) -> Iterator[Contenders]:
    yield beside(partial(call_getppid, count), ["verifier-log", "watch"], "tracepoint:syscalls:sys_enter_bpf")


def send_records(count: int) -> None:
    """Records of kTLS over loopback, each received before the next is sent."""
    with skmsg.connection() as (client, peer):
        skmsg.encrypt(client)
        for _ in range(count):
            client.send(b"x" * 1024)
            left = 1024
            while left > 0:
                left -= len(peer.recv(4096))


@contextmanager
def records(count: int) -> Iterator[Contenders]:
    yield beside(partial(send_records, count), ["skmsg", "watch"], "kprobe:tls_sw_sendmsg")


def throughput(seen: Measurements) -> Figure | None:
    """Work in the same CPU time: 1 where being watched costs nothing."""
    return next((seen.ratio(size, ALONE, OURS) for size in seen.sizes(ALONE)), None)


def lost(seen: Measurements) -> Figure | None:
    return seen.count("lost", OURS)


def added(seen: Measurements) -> Figure | None:
    """Nanoseconds that being watched adds to each."""
    alone, watched = seen.cpu(CALLS, ALONE), seen.cpu(CALLS, OURS)
    return None if alone is None or watched is None else (watched - alone) / CALLS * 1e9


COPY = (
    "Some 5 % are our programs (a profile by cpu-clock): two raw tracepoints, a hash table, two records in a "
    "ring, the copy of the end of the log. The rest is the watcher, which explains at the same time: where all "
    "CPUs are busy it takes caches and turns from the loader."
)
FULL = (
    "Loaders can be twenty times as fast as we explain. The rings hold some 15,000 loads with short logs; what "
    "is lost beyond is counted and said."
)
RECORD = (
    "A kprobe at every record, and a look at its scatterlist. Emulated by QEMU a breakpoint costs many times "
    "what it costs natively, and a cipher does not."
)
KEPT = Mark("throughput by CPU time, watched / alone", throughput, 0.9, at_least=True, why=COPY)
KEPT_RECORDS = Mark("throughput by CPU time, watched / alone", throughput, 0.9, at_least=True, why=RECORD)
NONE_LOST = Mark("events lost", lost, 0, "", why=FULL)
TRACED = (
    "Nearly all of it is the kernel's own: with anything on the raw tracepoints sys_enter and sys_exit every "
    "system call of every process takes the slow path (syscall_trace_enter()). Our programs leave after one "
    "comparison. A tracepoint or kprobe of bpf(2) alone is not there, or refused, on some kernels. The manual "
    "page says what it costs."
)

CASES = (
    Case(
        "failing-loads",
        9,
        "10⁴ failing loads with a log beside `verifier-log watch`",
        failing_loads,
        [KEPT, NONE_LOST],
        sizes=(10_000,),
        unit="loads",
        rounds=5,
        note="bpftrace counts the calls; it makes no copy of the log.",
    ),
    Case(
        "successful-loads",
        9,
        "10⁴ loads of 502 instructions beside `verifier-log watch`",
        successful_loads,
        [KEPT, NONE_LOST],
        sizes=(10_000,),
        unit="loads",
        rounds=5,
    ),
    Case(
        "system-calls",
        9,
        "getppid(2) beside `verifier-log watch`",
        system_calls,
        [Mark("added to each system call of others", added, 10, "ns", why=TRACED)],
        sizes=(CALLS,),
        unit="calls",
        rounds=5,
    ),
    Case(
        "records",
        9,
        "10⁵ kTLS records beside `skmsg watch`",
        records,
        [KEPT_RECORDS, NONE_LOST],
        sizes=(100_000,),
        unit="records",
        place=Place.LAB,
        rounds=1,
        note="Emulated: a probe and its BPF program cost many times what they cost natively, kTLS' cipher less.",
    ),
)
