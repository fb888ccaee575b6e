# SPDX-License-Identifier: GPL-2.0-or-later
"""A row of the table of messages: how the kernel words a message, and what it means.

A wording is the kernel's format string with its conversions named: ``R%d !read_ok`` is ``{arg} !read_ok``. The names
are those of FIELDS, which says what each can match; reason and suggestion use them too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import cache
from typing import NamedTuple

from kprobe_tool.probes.verifier.diagnosis import Category, CauseClass

ARGUMENT = r"(?:R\d{1,2}|\*\(R11-\d{1,4}\)|args?(?: ?#)?\d{1,2})"
"""How kernels print the argument or register that a message is about (reg_arg_name() since Linux v7.2)."""
INTEGER = r"-?\d{1,20}"
TYPE = r"[^\s',]{1,100}"
NAME = r"[^\s'()]{0,128}"
PHRASE = r".{1,80}?"
TEXT = r".{0,400}?"

FIELDS = {
    **dict.fromkeys(("arg", "arg2", "len"), ARGUMENT),
    **dict.fromkeys(("at", "to", "insn", "off", "size", "id", "number", "count", "limit"), INTEGER),
    **dict.fromkeys(("part", "fixed", "range", "low", "high"), INTEGER),
    **dict.fromkeys(("name", "func", "caller", "callee"), NAME),
    **dict.fromkeys(("what", "what2", "where"), PHRASE),
    **dict.fromkeys(("list", "text", "text2", "state"), TEXT),
    "hex": r"[0-9a-f]{1,16}",
    "type": TYPE,
    "word": r"[^\s,]{1,60}",
    "nullable": r"[^\s',]{0,60}or_null[^\s',]{0,60}",
    "operator": r"\S{1,16}",
    "operation": r"\S{1,8}",
    "tnum": r"\(?[^\s,()]{1,40}(?:; [^\s,()]{1,40}\))?",
    "range_text": r"[\[(][^\])]{1,60}[\])]",
    "access": r"(?:indirect )?(?:read from|write to|access to)",
    "access2": r" indirect(?: access to)?",
    "plural": r"(?: is|s are|\(s\) are)",
}
"""What a named conversion matches. Every repetition is bounded, so no message can make matching slow."""

PART = re.compile(r"\{\{|\}\}|\{(\w+)\}")

ONE_BYTES = re.compile(r"(?<![\d.-])1 bytes\b")

MATCH_MAX = 1024
"""Characters of a line that are looked at; the kernel's own messages are far shorter."""

Fields = Mapping[str, str]


class Follow(Enum):
    """What leads back from the message to its cause."""

    NOTHING = auto()
    REGISTER = auto()
    """The register in ``arg``."""
    REGISTER2 = auto()
    """The register in ``arg2``."""
    LENGTH = auto()
    """The register in ``len``."""
    R0 = auto()
    R1 = auto()
    SOURCE = auto()
    """The register whose number the instruction adds to a pointer."""
    REGISTER_OF_INSN = auto()
    """The register that the instruction writes."""
    REFERENCE = auto()
    """The reference ``id``, acquired at ``insn``."""
    RCU = auto()
    PREEMPT = auto()
    IRQ = auto()
    LOCK = auto()
    CONTEXT = auto()
    """The region that ``what`` names."""


def is_within_frame(fields: Fields) -> bool:
    """Whether an access to the stack is within the 512 bytes of its frame: then nothing was written there before."""
    off, size = int(fields["off"]), int(fields["size"])
    return off >= -512 and off + size <= 0


class KernelMessage(NamedTuple):
    """One row.

    ``wordings`` gives for each wording the kernels that have it: the sources of 5.10, 6.1, 6.12, 7.2 and 7.3 were
    read, and a range stands for these and all between them. A ``detail`` belongs to another message: it is taken for
    the cause only where no other message is known. A message that ``sums_up`` follows more technical ones. ``only``
    is a further condition, on the fields. ``lost_pointer`` says that the register may have been a pointer, or held a
    reference, and is or does not any more; ``lost_bound``, that a number has no sufficient bounds.
    """

    rule: str
    wordings: Mapping[str, str]
    reason: str
    suggestion: str
    follow: Follow = Follow.NOTHING
    detail: bool = False
    sums_up: bool = False
    lost_pointer: bool = False
    lost_bound: bool = False
    only: Callable[[Fields], bool] | None = None


class MessageGroup(NamedTuple):
    """The rows that share a category and a problem.

    ``cause_class`` is whose fault it is as far as the message alone tells, and ``evidence`` how it tells.
    """

    category: Category
    problem: str
    rows: tuple[KernelMessage, ...]
    cause_class: CauseClass = CauseClass.UNKNOWN
    evidence: str | None = None


class Match(NamedTuple):
    """The row that a line of a log belongs to, with the values of the fields in it."""

    group: MessageGroup
    row: KernelMessage
    wording: str
    fields: Fields

    def reason(self) -> str:
        return ONE_BYTES.sub("1 byte", self.row.reason.format_map(self.fields))

    def suggestion(self) -> str:
        return self.row.suggestion.format_map(self.fields)


def split_wording(wording: str) -> list[tuple[str, str | None]]:
    """A wording as (literal text, name of the field that follows or None)."""
    found: list[tuple[str, str | None]] = []
    literal, place = "", 0
    for match in PART.finditer(wording):
        literal += wording[place : match.start()]
        place = match.end()
        if match[1] is None:
            literal += match[0][0]
        else:
            found.append((literal, match[1]))
            literal = ""
    found.append((literal + wording[place:], None))
    return found


def literal_of(wording: str) -> str:
    """The longest fixed part of a wording: a line without it cannot be of this wording."""
    return max((literal for literal, _ in split_wording(wording)), key=len)


@cache
def pattern_of(wording: str) -> re.Pattern[str]:
    """The regular expression of a wording. A kind of field that comes twice has two names (arg, arg2)."""
    return re.compile(
        "".join(
            re.escape(literal) + (f"(?P<{name}>{FIELDS[name]})" if name is not None else "")
            for literal, name in split_wording(wording)
        )
    )
