# SPDX-License-Identifier: GPL-2.0-or-later
"""An audit beside 10,000 network namespaces, 5,000 processes and 1,000 failing BPF loads a second.

python -m tests.load [KIND...] [--share N]: a line of a table for each command that was run, as in docs/harm.md.
The sockets of RDS are tests/kernels/guest/test_load.py's. Needs root. All that is made belongs to one child, which
ends with this process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from kprobe_tool.native import bpf, sched

TOOL = (sys.executable, "-m", "kprobe_tool")
LIMIT = 600
"""Seconds for one command."""
SPARE = 1000
"""Descriptors beside those that a crowd is made of."""

NAMESPACES, PROCESSES, RATE, SECONDS = 10_000, 5_000, 1_000, 60
# linux/sched.h
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
# r0 = r2, which is not set; exit
REJECTED = bpf.Program(bytes.fromhex("bf20000000000000 9500000000000000"), bpf.BPF_PROG_TYPE_RAW_TRACEPOINT)
READY = b"."


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds of the clock and of the processor, MiB at most of one process; and its output."""

    code: int
    seconds: float
    cpu: float
    rss: float
    out: str
    err: str

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s | {self.cpu:.1f} s | {self.rss:.0f} MiB | {self.code}"


def run(*arguments: str) -> Cost:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.monotonic()
        process = subprocess.Popen([*TOOL, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        signal.alarm(LIMIT)
        _, status, usage = os.wait4(process.pid, 0)
        signal.alarm(0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        out.seek(0)
        err.seek(0)
        cpu = usage.ru_utime + usage.ru_stime
        return Cost(process.returncode, seconds, cpu, usage.ru_maxrss / 1024, out.read(), err.read())


@contextmanager
def crowd(make: Callable[[], None]) -> Iterator[None]:
    """Call ``make`` in a child, wait until it is done, and keep the child until the end of the block."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            sched.die_with_parent()
            make()
            os.write(writing, READY)
            while True:
                signal.pause()
        finally:
            os._exit(1)
    os.close(writing)
    try:
        with open(reading, "rb") as file:
            if file.read(1) != READY:
                raise SystemExit("the crowd could not be made")
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def make_namespaces(count: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + SPARE, count + SPARE))
    for _ in range(count):
        sched.unshare(CLONE_NEWNET)
        # Kept open by this process, as a container manager does.
        os.open("/proc/self/ns/net", os.O_RDONLY)


def make_processes(count: int) -> None:
    """Fork in a PID namespace, whose first process takes the others with it."""
    sched.unshare(CLONE_NEWPID)
    reading, writing = os.pipe()
    if os.fork() == 0:
        sched.die_with_parent()
        for _ in range(count - 1):
            if os.fork() == 0:
                while True:
                    signal.pause()
        os.write(writing, READY)
        while True:
            signal.pause()
    os.close(writing)
    if os.read(reading, 1) != READY:
        raise SystemExit("no room for so many processes")


def load_failing(rate: int, seconds: float, answer: int) -> None:
    """As many loads a second as asked for, or as are possible; their number is written to ``answer``."""
    began, done = time.monotonic(), 0
    while time.monotonic() < began + seconds:
        while done < (time.monotonic() - began) * rate and time.monotonic() < began + seconds:
            bpf.load_once(REJECTED, 0, 0)
            done += 1
        time.sleep(0.001)
    os.write(answer, str(done).encode())


def rows_of_namespaces(share: int) -> Iterator[str]:
    count = NAMESPACES // share
    with crowd(lambda: make_namespaces(count)):
        yield from rows_beside(f"{count:,} network namespaces", [("audit",), ("rds-info", "--all-netns")])


def rows_of_processes(share: int) -> Iterator[str]:
    count = PROCESSES // share
    with crowd(lambda: make_processes(count)):
        yield from rows_beside(f"{count:,} processes", [("audit",), ("rds-info", "--all-netns"), ("doctor",)])


def rows_of_loads(share: int) -> Iterator[str]:
    """verifier-log watch all the time, an audit meanwhile."""
    seconds = SECONDS / share
    reading, writing = os.pipe()
    began: list[int] = []

    def loader() -> None:
        began.append(os.fork())
        if began[-1] == 0:
            sched.die_with_parent()
            load_failing(RATE, seconds, writing)
            os._exit(0)

    watching = subprocess.Popen(
        [sys.executable, "-c", WATCHER, str(seconds + 5)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    assert watching.stdout is not None
    watching.stdout.readline()
    with crowd(loader):
        yield from rows_beside(f"{RATE:,} failing BPF loads a second", [("audit",)])
        done = int(os.read(reading, 32))
    summary, rss = json.loads(watching.stdout.read())
    watching.wait()
    counts = ", ".join(f"{summary[name]:,} {name}" for name in ("seen", "emitted", "dropped"))
    yield f"| {done:,} failing BPF loads in {seconds:.0f} s | `verifier-log watch` | {counts} | | {rss:.0f} MiB | |"


WATCHER = """
import json, resource, subprocess, sys
argv = [sys.executable, "-m", "kprobe_tool", "verifier-log", "watch", "-o", "jsonl", "--duration", sys.argv[1]]
process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
print(process.stdout.readline() and "watching", flush=True)
line = ""
for line in process.stdout:
    pass
process.wait()
print(json.dumps([json.loads(line), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]))
"""
"""A program that prints a word when it watches, and at the end the summary and MiB of memory at most."""


def rows_beside(crowded: str, commands: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for words in commands:
        cost = run(*words, "-o", "json")
        if cost.code < 0 or "Traceback" in cost.err or not cost.out:
            raise SystemExit(f"{' '.join(words)} beside {crowded}: {cost.code}: {cost.err}")
        yield f"| {crowded} | `{' '.join(words)}` | {cost} |"


KINDS = {"none": lambda _: rows_beside("nobody", [("audit",)]), "namespaces": rows_of_namespaces}
KINDS |= {"processes": rows_of_processes, "loads": rows_of_loads}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)}; all without one")
    parser.add_argument("--share", type=int, default=1, help="one N-th of it all, where not all fits")
    options = parser.parse_args()
    for kind in options.kinds or KINDS:
        for row in KINDS[kind](options.share):
            print(row, flush=True)


if __name__ == "__main__":
    main()
