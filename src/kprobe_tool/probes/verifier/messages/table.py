# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of messages: every row, in the order in which they are tried."""

from __future__ import annotations

import re
from functools import cache

from kprobe_tool.probes.verifier.messages import (
    calls,
    contexts,
    functions,
    internal,
    limits,
    loader,
    malformed,
    memory,
    objects,
    policy,
    privilege,
    registers,
    resources,
    structure,
)
from kprobe_tool.probes.verifier.messages.row import (
    MATCH_MAX,
    KernelMessage,
    Match,
    MessageGroup,
    literal_of,
    pattern_of,
)

BEFORE_MESSAGE = re.compile(r"(?:[:|\]]|\u2026|goto pc[+-]\d{1,6}) {1,4}(?=\S)|[\"'](?=\S)|message=(?=\S)")
"""What can stand right before the kernel's message on a line: words of a loader, or the jump that is rejected."""
STARTS_MAX = 32
"""Places of a line at which a message may begin."""

TABLE: tuple[MessageGroup, ...] = (
    *registers.GROUPS,
    *memory.GROUPS,
    *resources.GROUPS,
    *calls.GROUPS,
    *contexts.GROUPS,
    *structure.GROUPS,
    *functions.GROUPS,
    *objects.GROUPS,
    *privilege.GROUPS,
    *policy.GROUPS,
    *limits.GROUPS,
    *malformed.GROUPS,
    *internal.GROUPS,
    *loader.GROUPS,
)


@cache
def indexed_wordings() -> tuple[tuple[str, str, MessageGroup, KernelMessage], ...]:
    """(literal, wording, group, row) of every wording: a line without the literal needs no regular expression."""
    return tuple(
        (literal_of(wording), wording, group, row)
        for group in TABLE
        for row in group.rows
        for wording in row.wordings
    )


def match(line: str) -> Match | None:
    """The row that a line belongs to: the first that has all of it in one of its wordings."""
    if len(line) > MATCH_MAX:
        return None
    for literal, wording, group, row in indexed_wordings():
        if literal in line:
            found = pattern_of(wording).fullmatch(line)
            if found is not None and (row.only is None or row.only(found.groupdict())):
                return Match(group, row, wording, found.groupdict())
    return None


def match_end(line: str) -> tuple[int, Match] | None:
    """(index of its first character, match) of a message at the end of a line, after words of a loader's."""
    line = line[-MATCH_MAX:]
    starts = [found.end() for found in BEFORE_MESSAGE.finditer(line)][-STARTS_MAX:]
    if not starts:
        return None
    best: tuple[int, Match] | None = None
    for literal, wording, group, row in indexed_wordings():
        place = line.find(literal)
        if place < 0:
            continue
        for start in starts:
            if best is not None and start >= best[0]:
                break
            found = pattern_of(wording).fullmatch(line, start)
            if found is not None and (row.only is None or row.only(found.groupdict())):
                best = start, Match(group, row, wording, found.groupdict())
                break
    return best
