# SPDX-License-Identifier: GPL-2.0-or-later
"""What the live commands share: events until Ctrl-C, --count or --duration, and counters that add up.

The program has a ring buffer ``events`` and per-CPU ``counters`` as bpf/include/live.h describes them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from kprobe_tool.native import bcc
from kprobe_tool.native.programs.live import COUNTERS
from kprobe_tool.native.ringbuf import RingBuffer
from kprobe_tool.native.stop import flag as stop_flag

__all__ = ("COUNTERS", "Counters", "Feed", "Limits", "stop_flag")

TICK = 0.25
"""Seconds between two looks at whether to end."""

SETTLE = 2.0
"""Seconds to wait for programs that were still running on another CPU when they were detached."""


@dataclass(frozen=True)
class Limits:
    """When to end: after ``count`` events, after ``duration`` seconds, or when ``over`` says why (None: go on)."""

    over: Callable[[], str | None] = lambda: None
    count: int | None = None
    duration: float | None = None


@dataclass(frozen=True)
class Counters:
    """Of one run: seen = emitted + dropped.

    ``filtered`` are those that the options excluded, ``missed`` those that could not be looked at.
    """

    seen: int = 0
    emitted: int = 0
    dropped: int = 0
    filtered: int = 0
    missed: int = 0

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class Feed:
    """The records of one run, once, in the order of the ring; then ``counters()`` and ``ended``, which says why.

    Whatever ends it, the programs are detached first and what is in the rings then is still given. What comes after
    --count is reached is counted as dropped. Raises OSError.

    A command whose events are more than one record iterates over ``batches()``, says by ``is_event`` which records
    the program counts, and counts in ``shown`` those that it has shown.
    """

    def __init__(
        self,
        program: bcc.Object,
        limits: Limits,
        rings: Sequence[str] = ("events",),
        is_event: Callable[[bytes], bool] = lambda record: True,
    ) -> None:
        self._program = program
        self._limits = limits
        self._rings = rings
        self._is_event = is_event
        self._end = None if limits.duration is None else time.monotonic() + limits.duration
        self._read = 0
        self.shown = 0
        self.ended: str | None = None

    @property
    def full(self) -> bool:
        """Whether --count is reached."""
        return self._limits.count is not None and self.shown >= self._limits.count

    def __iter__(self) -> Iterator[bytes]:
        for batch in self.batches():
            for record in batch:
                if self.full:
                    break
                self.shown += 1
                yield record

    def batches(self) -> Iterator[list[bytes]]:
        """What has come, at least every TICK and then perhaps nothing."""
        ring = self._program.ring_buffer(*self._rings)
        try:
            while self.ended is None:
                yield self._batch(ring, self._patience())
                self.ended = self._ending()
            self._program.close_programs()
            deadline = time.monotonic() + SETTLE
            while True:
                batch = self._batch(ring, 0.001)
                yield batch
                if not batch and (self._is_settled() or time.monotonic() > deadline):
                    return
        finally:
            ring.close()

    def _batch(self, ring: RingBuffer, timeout: float) -> list[bytes]:
        batch = ring.read(timeout)
        self._read += sum(map(self._is_event, batch))
        return batch

    def _patience(self) -> float:
        return TICK if self._end is None else max(0.0, min(TICK, self._end - time.monotonic()))

    def _ending(self) -> str | None:
        if self.full:
            return "count"
        if self._end is not None and time.monotonic() >= self._end:
            return "duration"
        return self._limits.over()

    def _raw(self) -> dict[str, int]:
        return dict(zip(COUNTERS, self._program.per_cpu_sums("counters", len(COUNTERS)), strict=True))

    def _is_settled(self) -> bool:
        """Whether every program that counted an event as seen has also said what became of it."""
        raw = self._raw()
        return raw["emitted"] == self._read and raw["seen"] == raw["emitted"] + raw["dropped"]

    def counters(self) -> Counters:
        """When the records are all read."""
        raw = self._raw()
        dropped = raw["dropped"] + self._read - self.shown
        return Counters(raw["seen"], self.shown, dropped, raw["filtered"], raw["missed"])
