# SPDX-License-Identifier: GPL-2.0-or-later
"""A log from its end: lines backwards, no more of them than somebody asks for."""

from __future__ import annotations

from collections.abc import Iterator

from kprobe_tool.probes.verifier.log.lines import LogEntry, entries
from kprobe_tool.probes.verifier.log.noise import LINE_MAX, clean
from kprobe_tool.probes.verifier.log.wrapping import BARE, Data, Wrapping

STRETCH = 1 << 20
"""A newline is looked for this far; a longer line is taken apart."""
WALK_MAX = 1 << 24
"""Bytes from the end beyond which nobody looks."""


def lines(data: Data, end: int | None = None, wrapping: Wrapping = BARE) -> Iterator[str]:
    """The cleaned lines of a log from ``end`` on backwards; of a long line its beginning."""
    end = len(data) if end is None else end
    limit = max(0, end - WALK_MAX)
    if end and data[end - 1 : end] == b"\n":
        end -= 1
    while end > limit or end == limit == 0:
        begin = data.rfind(b"\n", max(limit, end - STRETCH), end) + 1
        if begin == 0:
            begin = max(limit, end - STRETCH)
        yield clean(data[begin : min(end, begin + LINE_MAX)], wrapping)
        if begin <= limit:
            return
        # Without a newline before it this is the rest of a line that was taken apart.
        end = begin - 1 if data[begin - 1 : begin] == b"\n" else begin


def backwards(data: Data, wrapping: Wrapping = BARE) -> Iterator[LogEntry]:
    """What the lines of a log are, the last one first."""
    for line in lines(data, wrapping=wrapping):
        found = entries(line)
        if len(found) == 1:
            yield found[0]
        else:
            yield from reversed(found)


def head(data: Data, count: int, wrapping: Wrapping = BARE) -> list[str]:
    """The first lines of a log, ``count`` at most."""
    return [clean(line, wrapping) for line in data[: count * 1024].split(b"\n", count)[:count]]
