# SPDX-License-Identifier: GPL-2.0-or-later
"""The diagnostics that Linux v7.3 and later write into the log (kernel/bpf/diagnostics.c).

A block begins with ``Verification failed: CATEGORY: Problem`` and has the sections Reason, At, Active lock, Causal
path and Suggestion, each but the header's line optional here: a log can be cut anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kprobe_tool.probes.verifier.diagnosis import Line, PathEvent, Place

HEADER = "Verification failed: "
SECTIONS = ("Reason:", "At:", "Active lock:", "Causal path:", "Suggestion:")

LANE = re.compile(r"  (>>> |    ) {0,9}(\d{1,9}) \| ?(.*)")
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
class Location:
    """A place while it is read: the lines of its two contexts, and the annotation between them."""

    first: str
    source: list[tuple[bool, Line]] = field(default_factory=list)
    instructions: list[tuple[bool, Line]] = field(default_factory=list)
    label: str = "note"
    message: list[str] = field(default_factory=list)
    lane: str = ""
    caret: int | None = None

    def add(self, text: str) -> None:
        """One more line of it."""
        if text in {"  Source context:", "  Instruction context:"}:
            self.lane = text.split(maxsplit=1)[0]
            return
        found = LANE.fullmatch(text)
        if found is not None:
            lane = self.instructions if self.lane == "Instruction" else self.source
            lane.append((found[1] != "    ", Line(int(found[2]), found[3])))
            return
        found = ANNOTATION.fullmatch(text)
        if found is not None:
            self.caret = len(found[1]) if self.lane == "Source" else None
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
        named = INSN.fullmatch(self.first)
        found = None if named else LOCATION.fullmatch(self.first)
        return Place(
            insn=insn.number if insn is not None else int(named[1]) if named else None,
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


def split(lines: Sequence[str]) -> list[Block | str]:
    """The lines in order, with each block of diagnostics as one; one that lost its header has no category."""
    found: list[Block | str] = []
    place = 0
    while place < len(lines):
        if lines[place].startswith(HEADER):
            end = end_of(lines, place)
            found.append(block(lines[place:end]))
            place = end
        elif lines[place] in SECTIONS:
            # The rest of a block: what stood before it did not fit into the loader's buffer.
            end = end_of(lines, place - 1)
            found.append(block([HEADER, *lines[place:end]]))
            place = end
        else:
            found.append(lines[place])
            place += 1
    return found


def end_of(lines: Sequence[str], begin: int) -> int:
    """Where a block ends: behind its suggestion, or before what can be no part of one."""
    suggested = False
    for place in range(begin + 1, len(lines)):
        text = lines[place]
        if text in SECTIONS:
            suggested = text == SECTIONS[-1]
        elif text[:1] not in {"", " "} or (suggested and not text):
            return place
    return len(lines)


def block(lines: Sequence[str]) -> Block:
    """One block from its lines, the header first."""
    category, _, problem = lines[0][len(HEADER) :].partition(": ")
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for text in lines[1:]:
        if text in SECTIONS:
            current = sections.setdefault(text, [])
        else:
            current.append(text)
    at = steps(sections.get("At:", ()))
    return Block(
        category=category,
        problem=problem or None,
        reason=prose(sections.get("Reason:", ())),
        at=at[0] if at else PathEvent("error", ""),
        lock=steps(sections.get("Active lock:", ())),
        path=steps(sections.get("Causal path:", ())),
        suggestion=prose(sections.get("Suggestion:", ())) or None,
    )


def prose(lines: Sequence[str]) -> str:
    """Wrapped text as one line."""
    return " ".join(text.strip() for text in lines if text.strip())


def steps(lines: Sequence[str]) -> tuple[PathEvent, ...]:
    """The events of a section, separated by empty lines; a line that is no place is a note of its own."""
    found: list[PathEvent] = []
    location: Location | None = None
    for text in (*lines, ""):
        if not text:
            if location is not None:
                found.append(location.event())
            location = None
        elif location is not None:
            location.add(text)
        elif INSN.fullmatch(text) or LOCATION.fullmatch(text):
            location = Location(text)
        else:
            found.append(PathEvent("note", text.strip()))
    return tuple(found)
