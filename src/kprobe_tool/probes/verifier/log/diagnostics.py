# SPDX-License-Identifier: GPL-2.0-or-later
"""The diagnostics that Linux v7.3 and later write into the log (kernel/bpf/diagnostics.c).

A block begins with the line ``Verification failed: CATEGORY: Problem`` and has the sections Reason, At, Active lock,
Causal path and Suggestion. Any of them can be missing, and the first line too: a log can be cut anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kprobe_tool.probes.verifier.diagnosis import Line, PathEvent, Place

HEADER = "Verification failed: "
SECTIONS = ("Reason:", "At:", "Active lock:", "Causal path:", "Suggestion:")

CONTEXT_LINE = re.compile(r"  (>>> |    ) {0,9}(\d{1,9}) \| ?(.*)")
ANNOTATION = re.compile(r" {2,40}\| ?( {0,120})\^-- ([a-z-]{1,20}): ?(.*)")
CONTINUED = re.compile(r" {2,40}\|  {3,160}(\S.*)")
INSN = re.compile(r"  insn (\d{1,7})")
LOCATION = re.compile(r"  (?:(?P<function>\S{1,128}) @ )?(?P<file>.{1,255}):(?P<line>\d{1,9}):(?P<column>\d{1,9})")


class Block(NamedTuple):
    """One block, as data."""

    category: str
    problem: str | None
    reason: str
    at: PathEvent
    lock: tuple[PathEvent, ...]
    path: tuple[PathEvent, ...]
    suggestion: str | None


@dataclass
class EventLines:
    """The lines of one event, read one by one: where it is, the source and the instructions around, the annotation.

    The lines around are (whether it is the place's own, line).
    """

    heading: str
    source: list[tuple[bool, Line]] = field(default_factory=list)
    instructions: list[tuple[bool, Line]] = field(default_factory=list)
    label: str = "note"
    message: list[str] = field(default_factory=list)
    context: str = ""
    caret: int | None = None

    def add(self, text: str) -> None:
        """Take the next line."""
        if text in {"  Source context:", "  Instruction context:"}:
            self.context = text.split(maxsplit=1)[0]
            return
        found = CONTEXT_LINE.fullmatch(text)
        if found is not None:
            lines = self.instructions if self.context == "Instruction" else self.source
            lines.append((found[1] != "    ", Line(int(found[2]), found[3])))
            return
        found = ANNOTATION.fullmatch(text)
        if found is not None:
            self.caret = len(found[1]) if self.context == "Source" else None
            self.label, self.message = found[2], [found[3]]
            return
        found = CONTINUED.fullmatch(text)
        if found is not None and self.message:
            self.message.append(found[1])

    def event(self) -> PathEvent:
        return PathEvent(self.label, " ".join(self.message), self.place())

    def place(self) -> Place:
        insn = next((line for marked, line in self.instructions if marked), None)
        source = next((line for marked, line in self.source if marked), None)
        numbered = INSN.fullmatch(self.heading)
        found = None if numbered else LOCATION.fullmatch(self.heading)
        return Place(
            insn=insn.number if insn is not None else int(numbered[1]) if numbered else None,
            function=found["function"] if found else None,
            file=found["file"] if found else None,
            line=int(found["line"]) if found else None,
            column=int(found["column"]) if found else None,
            source=source.text if source is not None else None,
            instruction=insn.text if insn is not None else None,
            source_context=tuple(line for _, line in self.source),
            instruction_context=tuple(line for _, line in self.instructions),
            caret=self.caret,
        )


def split_blocks(lines: Sequence[str]) -> list[Block | str]:
    """The lines in order, with each block of diagnostics as one item; a block without its header has no category."""
    found: list[Block | str] = []
    begin = 0
    while begin < len(lines):
        if lines[begin].startswith(HEADER):
            end = block_end(lines, begin)
            found.append(parse_block(lines[begin:end]))
            begin = end
        elif lines[begin] in SECTIONS:
            # The rest of a block: what stood before it did not fit into the loader's buffer.
            end = block_end(lines, begin - 1)
            found.append(parse_block([HEADER, *lines[begin:end]]))
            begin = end
        else:
            found.append(lines[begin])
            begin += 1
    return found


def block_end(lines: Sequence[str], begin: int) -> int:
    """The index after a block's last line: it ends with its suggestion, or before what cannot be part of one."""
    suggested = False
    for end in range(begin + 1, len(lines)):
        text = lines[end]
        if text in SECTIONS:
            suggested = text == SECTIONS[-1]
        elif text[:1] not in {"", " "} or (suggested and not text):
            return end
    return len(lines)


def parse_block(lines: Sequence[str]) -> Block:
    """A block from its lines, the header first."""
    category, _, problem = lines[0][len(HEADER) :].partition(": ")
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for text in lines[1:]:
        if text in SECTIONS:
            current = sections.setdefault(text, [])
        else:
            current.append(text)
    at = parse_events(sections.get("At:", ()))
    return Block(
        category=category,
        problem=problem or None,
        reason=unwrap(sections.get("Reason:", ())),
        at=at[0] if at else PathEvent("error", ""),
        lock=parse_events(sections.get("Active lock:", ())),
        path=parse_events(sections.get("Causal path:", ())),
        suggestion=unwrap(sections.get("Suggestion:", ())) or None,
    )


def unwrap(lines: Sequence[str]) -> str:
    """Wrapped text as one line."""
    return " ".join(text.strip() for text in lines if text.strip())


def parse_events(lines: Sequence[str]) -> tuple[PathEvent, ...]:
    """The events of a section. Empty lines separate them; one that does not begin with a place is a note."""
    found: list[PathEvent] = []
    event: EventLines | None = None
    for text in (*lines, ""):
        if not text:
            if event is not None:
                found.append(event.event())
            event = None
        elif event is not None:
            event.add(text)
        elif INSN.fullmatch(text) or LOCATION.fullmatch(text):
            event = EventLines(text)
        else:
            found.append(PathEvent("note", text.strip()))
    return tuple(found)
