# SPDX-License-Identifier: GPL-2.0-or-later
"""The end of a log: the lines after the last one about the program, which say why it was rejected."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from kprobe_tool.probes.verifier.log import diagnostics
from kprobe_tool.probes.verifier.log.lines import REMARK, EntryKind, LogEntry, parse_line
from kprobe_tool.probes.verifier.log.noise import BEGIN, END, OMITTED
from kprobe_tool.probes.verifier.log.wrapping import INSN
from kprobe_tool.probes.verifier.messages.table import match, match_end

RUN_MAX = 20_000
"""Lines that are taken for messages and blocks, at the most."""
PROGRAM = frozenset({EntryKind.INSN, EntryKind.STATE, EntryKind.FROM, EntryKind.SAFE, EntryKind.SOURCE})
"""Lines about the program itself: no message is before the last of them."""
ARGUMENT_TRIED = re.compile(r"R\d type=\S{1,40} expected=\S{1,40}")
"""Printed while the kernel checks a function as a global one. If that fails, it checks it as a static one wherever it
is called, so this is not why the program was rejected."""
JOINED_STATE = re.compile(r"(?:^|: )((?:frame\d{1,2}: ?)?R\d{1,2}(?:_\w{1,4})?=.*)", re.DOTALL)
"""The registers, which kernels before v5.18 print in a line of their own before the message."""
JOINED_MAX = 8
"""Lines of a log, at the most, that a loader has joined into one."""


class End(NamedTuple):
    """The lines after the program's last one, and what comes before them.

    ``finished`` says that the verifier's own last line is there; ``settled``, that the lines are part of a log for
    sure, and not of what somebody wrote around it; ``left_out``, that something is left out between the two.
    """

    run: Sequence[str]
    finished: bool
    before: Iterator[LogEntry]
    settled: bool
    processed: str | None = None
    left_out: bool = False


def read_end(backwards: Iterator[LogEntry]) -> End:
    """The end of a log, without what loaders add, from its entries in reverse order.

    What is left of the entries comes back as ``before``.
    """
    walked = split_joined_entries(backwards)
    run: list[str] = []
    finished = settled = unsupported = left_out = False
    processed = None
    for count, entry in enumerate(walked):
        if entry.kind is EntryKind.TRAILER:
            # What stands behind it is the loader's.
            if not finished:
                run.clear()
            finished = settled = True
            processed = processed or (entry.text if entry.text.startswith("processed ") else None)
        elif entry.kind in PROGRAM:
            return End(run[::-1], finished, chain((entry,), walked), True, processed, left_out and bool(run))
        elif entry.kind is EntryKind.LOADER:
            if BEGIN.search(entry.text):
                return End(run[::-1], finished, iter(()), True, processed)
            if END.search(entry.text):
                run.clear()
                settled = True
        elif unsupported and ARGUMENT_TRIED.fullmatch(entry.text.strip()):
            pass
        elif entry.kind is EntryKind.BLANK and entry.text.strip():
            left_out = bool(run)
        elif entry.kind is not EntryKind.NOISE or entry.text[:1] == " " or REMARK.fullmatch(entry.text):
            run.append(entry.text)
        unsupported = entry.kind is EntryKind.NOISE and entry.text.lstrip().startswith(
            "reg type unsupported for arg#"
        )
        if count >= RUN_MAX:
            break
    return End(run[::-1], finished, iter(()), settled, processed)


def split_joined_entries(backwards: Iterator[LogEntry]) -> Iterator[LogEntry]:
    """The entries, in reverse order; a line into which a loader has joined several becomes several entries.

    That is so up to the program's last line: further up nothing is joined.
    """
    for entry in backwards:
        parts: list[str] = []
        if entry.kind in {EntryKind.TEXT, EntryKind.LOADER} or (
            entry.kind is EntryKind.NOISE and OMITTED.search(entry.text) is not None
        ):
            parts = split_joined_line(entry.text)
        elif entry.kind is EntryKind.INSN and ": " in entry.text:
            parts = split_joined_line(f"{entry.insn}: ({entry.code:02x}) {entry.text}")
        split = [each for part in parts for each in parse_line(part)] or [entry]
        yield from reversed(split)
        if any(each.kind in PROGRAM for each in split):
            break
    yield from backwards


def split_joined_line(text: str) -> list[str]:
    """The lines of the kernel that a loader has joined into one after words of its own; none if no message is there.

    ``program x: load program: permission denied: 9: (79) r3 = *(u64 *)(r1 +96): R1 invalid mem access 'scalar'``
    """
    rest = OMITTED.sub("", text).rstrip()
    if rest.startswith(diagnostics.HEADER) or match(rest) is not None:
        return [] if rest == text else [rest]
    parts: list[str] = []
    for closing in ("", rest[-2:], rest[-1:]):
        found = match_end(rest.removesuffix(closing)) if not closing.strip("\"'}]).") else None
        if found is not None:
            rest = rest.removesuffix(closing)
            break
    while found is not None and len(parts) < JOINED_MAX:
        # match_end() looks at the last 1024 characters, and counts from their beginning.
        message = rest[-1024:][found[0] :]
        parts.insert(0, message)
        rest = rest[: len(rest) - len(message)].rstrip().removesuffix(":")
        found = match_end(rest)
    if parts:
        if match(rest) is not None:
            parts.insert(0, rest)
        registers = JOINED_STATE.search(rest)
        if registers is not None:
            parts.insert(0, registers[1])
            rest = rest[: registers.start()]
        instruction = INSN.search(rest)
        if instruction is not None:
            parts.insert(0, rest[instruction.start() :])
    return parts
