# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of messages: every row, in the order in which they are tried."""

from __future__ import annotations

from functools import cache

from kprobe_tool.probes.verifier import (
    messages_calls,
    messages_contexts,
    messages_internal,
    messages_limits,
    messages_malformed,
    messages_memory,
    messages_policy,
    messages_privilege,
    messages_registers,
    messages_resources,
    messages_structure,
)
from kprobe_tool.probes.verifier.message import MATCH_MAX, Match, Message, literal_of, pattern_of

TABLE: tuple[Message, ...] = (
    *messages_registers.MESSAGES,
    *messages_memory.MESSAGES,
    *messages_resources.MESSAGES,
    *messages_calls.MESSAGES,
    *messages_contexts.MESSAGES,
    *messages_structure.MESSAGES,
    *messages_privilege.MESSAGES,
    *messages_policy.MESSAGES,
    *messages_limits.MESSAGES,
    *messages_malformed.MESSAGES,
    *messages_internal.MESSAGES,
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
