# SPDX-License-Identifier: GPL-2.0-or-later
"""A log from its end: lines backwards, no more of them than somebody asks for."""

from __future__ import annotations

from collections.abc import Iterator

from kprobe_tool.probes.verifier.log.lines import LogEntry, parse_line
from kprobe_tool.probes.verifier.log.noise import LINE_MAX, clean
from kprobe_tool.probes.verifier.log.wrapping import BARE, Data, Wrapping

CHUNK = 1 << 16
"""Bytes that are taken apart into lines at a time."""
STRETCH = 1 << 20
"""A newline is looked for this far; a longer line is taken apart."""
WALK_MAX = 1 << 24
"""Bytes from the end beyond which nobody looks."""


def lines_backwards(data: Data, wrapping: Wrapping = BARE) -> Iterator[str]:
    """The cleaned lines of a log backwards; of a long line its beginning."""
    end = len(data)
    limit = max(0, end - WALK_MAX)
    if data[end - 1 : end] == b"\n":
        end -= 1
    size = CHUNK
    while True:
        begin = max(limit, end - size)
        found = data[begin:end].split(b"\n")
        if begin > limit:
            if len(found) == 1 and size < STRETCH:
                size *= 2
                continue
            # The first has its beginning further up, if it is not a part of a line that is too long.
            end = begin if len(found) == 1 else begin + len(found.pop(0))
        for line in reversed(found):
            yield clean(line[:LINE_MAX], wrapping)
        if begin == limit:
            return
        size = CHUNK


def entries_backwards(data: Data, wrapping: Wrapping = BARE) -> Iterator[LogEntry]:
    """What the lines of a log are, the last one first."""
    for line in lines_backwards(data, wrapping):
        found = parse_line(line)
        if len(found) == 1:
            yield found[0]
        else:
            yield from reversed(found)


def first_lines(data: Data, count: int, wrapping: Wrapping = BARE) -> list[str]:
    """The first lines of a log, ``count`` at most."""
    return [clean(line, wrapping) for line in data[: count * 1024].split(b"\n", count)[:count]]
