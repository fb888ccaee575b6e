# SPDX-License-Identifier: GPL-2.0-or-later
"""The account that live commands give, with a program that is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kprobe_tool.native import bcc
from kprobe_tool.native.ringbuf import RingBuffer
from kprobe_tool.probes import live
from kprobe_tool.probes.live import COUNTERS, Counters, Feed, Limits


class Ring(RingBuffer):
    """Hands out batches; then it is empty."""

    def __init__(self, batches: Iterator[list[bytes]]) -> None:
        self.batches = batches
        self.closed = False

    def read(self, timeout: float) -> list[bytes]:
        return next(self.batches, [])

    def close(self) -> None:
        self.closed = True


class Program(bcc.Object):
    """A program that counts nothing: its counters are those given, and at the second look those of ``later``."""

    def __init__(self, batches: list[list[bytes]], *later: dict[str, int], **counted: int) -> None:
        self.ring = Ring(iter(batches))
        self.counted = [dict.fromkeys(COUNTERS, 0) | each for each in (counted, *later)]
        self.detached = False

    def ring_buffer(self, *names: str) -> Ring:
        assert names[0] == "events"
        return self.ring

    def close_programs(self) -> None:
        self.detached = True

    def per_cpu_sums(self, name: str, entries: int) -> list[int]:
        assert self.detached, "counted while it may still run"
        now = self.counted.pop(0) if len(self.counted) > 1 else self.counted[0]
        return [now[key] for key in COUNTERS][:entries]


def run(program: Program, limits: Limits) -> tuple[list[bytes], Counters, str | None]:
    feed = Feed(program, limits)
    records = list(feed)
    assert program.ring.closed
    return records, feed.counters(), feed.ended


def end_at_once() -> Limits:
    return Limits(lambda: "signal")


def test_what_is_in_the_ring_when_it_ends_is_given() -> None:
    program = Program([[b"1"], [b"2", b"3"], [b"4"]], seen=6, emitted=4, dropped=2, filtered=9, missed=1)
    records, counters, ended = run(program, end_at_once())
    assert records == [b"1", b"2", b"3", b"4"]
    assert counters == Counters(seen=6, emitted=4, dropped=2, filtered=9, missed=1)
    assert ended == "signal"


def test_what_comes_after_the_count_is_dropped() -> None:
    program = Program([[b"1", b"2", b"3"], [b"4"]], seen=5, emitted=4, dropped=1)
    records, counters, ended = run(program, Limits(count=2))
    assert (records, ended) == ([b"1", b"2"], "count")
    assert counters == Counters(seen=5, emitted=2, dropped=3)


def test_a_program_that_is_in_the_middle_is_waited_for() -> None:
    """Seen but not yet emitted; the record comes when the ring has been empty once."""
    program = Program([[b"1"], [], [b"2"]], {"seen": 2, "emitted": 2}, seen=2, emitted=1)
    records, counters, _ = run(program, end_at_once())
    assert records == [b"1", b"2"]
    assert counters == Counters(seen=2, emitted=2)


def test_a_program_that_never_settles_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SETTLE", 0.0)
    records, counters, _ = run(Program([[b"1"]], seen=3, emitted=1), end_at_once())
    assert records == [b"1"]
    assert counters == Counters(seen=3, emitted=1)


def test_a_duration_ends_it() -> None:
    _, _, ended = run(Program([]), Limits(duration=0.001))
    assert ended == "duration"


def test_a_reader_that_stops_closes_the_ring() -> None:
    program = Program([[b"1", b"2"]], seen=2, emitted=2)
    feed = iter(Feed(program, end_at_once()))
    assert next(feed) == b"1"
    del feed
    assert program.ring.closed


def test_counters_become_a_summary() -> None:
    assert Counters(5, 4, 1).as_dict() == {"seen": 5, "emitted": 4, "dropped": 1, "filtered": 0, "missed": 0}
