# SPDX-License-Identifier: GPL-2.0-or-later
"""Long logs of the verifier, explained."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests import loads

from kprobe_tool.native import bpf

from .. import peers
from ..figures import Figure, Measurements
from ..model import OURS, Case, Command, Contenders, Mark, Missing, at_most, tool

READ = "cat"
PRETTY, BPFVV = "pretty-verifier", "bpfvv"
MEGABYTE = 1_000_000
ROOM = 1 << 27
OBJECT = "tests/unit/data/verifier/null-check.o"
"""pretty-verifier says nothing without an object file, and everything else with any."""
SLOW = 51
"""Megabytes up to which the peers are tried: they take half a minute for these, and a gigabyte of memory."""
ROUNDS = 500_000
"""Of the loop that the verifier walks until it has seen a million instructions; two lines of log each."""


STARTING = (
    "Next to nothing depends on the size: the log is read backwards from its end, as far as the cause goes. "
    "What there is is the start (row 3), the end of the log, and its picture."
)
PAGES = (
    "Python with click is 16 MB; the rest is what knows logs (messages, patterns), and the pages of the log "
    "that were looked at."
)


@cache
def recorded() -> bytes:
    """What this kernel's verifier writes at level 2 of a program that it walks for long, and then refuses."""
    made = loads.Buffers(loads.program(loads.LONG.format(count=ROUNDS), "bench"), 2, ROOM)
    loads.call_bpf(bpf.BPF_PROG_LOAD, made.attr)
    return made.log.value


@contextmanager
def log(megabytes: int) -> Iterator[Contenders]:
    """A log of this size: the recorded one, its middle as often as it takes."""
    text = recorded()
    middle = text.rindex(b"\n", 0, len(text) // 2) + 1
    ending = text[-min(len(text) - middle, MEGABYTE // 2) :]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "log"
        left = megabytes * MEGABYTE - len(ending)
        with open(path, "wb") as file:
            while left > 0:
                left -= file.write(text[: min(left, middle)])
            file.write(b"\n" + ending.partition(b"\n")[2])
        yield {
            OURS: tool("verifier-log", "explain", str(path), codes=(0, 3)),
            READ: Command(["cat", str(path)]),
            PRETTY: slow(peers.given("PRETTY_VERIFIER", "-l", str(path), "-o", OBJECT, rounds=1), megabytes),
            BPFVV: slow(peers.given("BPFVV", str(path), rounds=1), megabytes),
        }


def slow(contender: Command | Missing, megabytes: int) -> Command | Missing:
    return contender if megabytes <= SLOW else Missing(f"not tried above {SLOW} MB")


def memory(seen: Measurements) -> Figure | None:
    largest = seen.memory(SLOW, OURS)
    return None if largest is None else largest / MEGABYTE


def larger(seen: Measurements) -> Figure | None:
    one, other = seen.cpu(1_000, OURS), seen.cpu(SLOW, OURS)
    return one / other if one and other else None


CASES = (
    Case(
        "explain",
        8,
        "`verifier-log explain`",
        log,
        [
            Mark(f"CPU, {SLOW} MB", lambda seen: seen.cpu(SLOW, OURS), 0.14, "s", why=STARTING),
            Mark(f"memory, {SLOW} MB", memory, 23, "MB", why=PAGES),
            Mark(f"CPU, 1000 MB / {SLOW} MB", larger, 2, why="A log is read from its end: this would be a fault."),
            at_most(OURS, READ, 1, 1_000, why=STARTING),
        ],
        sizes=(1, SLOW, 1_000),
        unit="MB",
        rounds=5,
    ),
)
