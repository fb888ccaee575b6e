# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of messages: every row, in the order in which they are tried."""

from __future__ import annotations

from functools import cache

from kprobe_tool.probes.verifier.messages import (
    calls,
    contexts,
    internal,
    limits,
    malformed,
    memory,
    policy,
    privilege,
    registers,
    resources,
    structure,
)
from kprobe_tool.probes.verifier.messages.row import MATCH_MAX, Match, Message, literal_of, pattern_of

TABLE: tuple[Message, ...] = (
    *registers.MESSAGES,
    *memory.MESSAGES,
    *resources.MESSAGES,
    *calls.MESSAGES,
    *contexts.MESSAGES,
    *structure.MESSAGES,
    *privilege.MESSAGES,
    *policy.MESSAGES,
    *limits.MESSAGES,
    *malformed.MESSAGES,
    *internal.MESSAGES,
)


@cache
def index() -> tuple[tuple[str, str, Message], ...]:
    """(literal, wording, row) of every wording: a line without the literal needs no regular expression."""
    return tuple((literal_of(wording), wording, row) for row in TABLE for wording in row.wordings)


def match(line: str) -> Match | None:
    """The row that a line belongs to: the first that has all of it in one of its wordings."""
    if len(line) > MATCH_MAX:
        return None
    for literal, wording, row in index():
        if literal in line:
            found = pattern_of(wording).fullmatch(line)
            if found is not None and (row.only is None or row.only(found.groupdict())):
                return Match(row, wording, found.groupdict())
    return None
