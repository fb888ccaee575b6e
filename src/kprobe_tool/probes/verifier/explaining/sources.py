# SPDX-License-Identifier: GPL-2.0-or-later
"""Source lines for a diagnosis from the object file that was loaded."""

from __future__ import annotations

import os
from bisect import bisect_right
from dataclasses import replace

from kprobe_tool import files
from kprobe_tool.errors import Error
from kprobe_tool.native import bpf_object
from kprobe_tool.native.bpf_object import BpfFunction, BpfObject, SourceLine
from kprobe_tool.probes.verifier.diagnosis import Diagnosis, Line, Place

AROUND = 2
"""Lines of source that are shown on either side of a place."""
CODE = ".text"
"""The section of functions that programs call; a program has a section of its own."""


def add_sources(diagnosis: Diagnosis, path: str, program: str | None = None) -> Diagnosis:
    """The diagnosis with the lines of source that an object file has for its places. Raises Error.

    ``program`` is the name of the program that the log is about, for a log in which the loader has not printed it.
    """
    try:
        found = bpf_object.parse(files.read(path, bpf_object.OBJECT_MAX))
    except ValueError as error:
        raise Error(path, f"this is no BPF object file: {error}") from error
    chosen = choose_program(found, program or diagnosis.program, path)
    return replace(diagnosis, program=chosen.name).with_places(LineTable(found, chosen).place)


def choose_program(found: BpfObject, name: str | None, path: str) -> BpfFunction:
    """The program that the log is about: by the name that the loader printed, else the only one there is."""
    programs = [function for function in found.functions if function.section != CODE]
    named = [function for function in programs if function.name == name]
    if named or (name is None and len(programs) == 1):
        return (named or programs)[0]
    names = ", ".join(sorted(function.name for function in programs)[:16]) or "none"
    raise Error(
        path,
        f"it has no program '{name}'" if name else "the log does not say which program",
        hint=f"it has {names}; --prog NAME says which",
    )


class LineTable:
    """The lines of one program. Instructions behind its own are those of functions that the loader appended."""

    def __init__(self, found: BpfObject, program: BpfFunction) -> None:
        self.program = program
        self.lines = found.lines
        own = [line for line in found.lines if line.section == program.section]
        # Line 0 is code that the compiler made; the line before it is the nearest real one.
        self.own = sorted((line for line in own if line.line), key=lambda line: line.insn)
        self.starts = [line.insn for line in self.own]

    def line_of(self, place: Place) -> SourceLine | None:
        """The line that a place is in."""
        if place.insn is not None and place.insn < self.program.count:
            number = bisect_right(self.starts, self.program.insn + place.insn) - 1
            return self.own[number] if number >= 0 and self.starts[number] >= self.program.insn else None
        if place.file is None:
            return None
        name = os.path.basename(place.file)
        return next(
            (each for each in self.lines if each.line == place.line and os.path.basename(each.file) == name), None
        )

    def place(self, place: Place) -> Place:
        """The place with the line of the file itself; unchanged where none is known."""
        line = self.line_of(place)
        if line is None:
            return place
        near = {
            each.line: each.text
            for each in self.lines
            if each.file == line.file and abs(each.line - line.line) <= AROUND and each.text.strip()
        }
        return replace(
            place,
            file=line.file,
            line=line.line,
            column=line.column,
            source=line.text,
            caret=len(line.text[: line.column - 1].expandtabs(8)) if line.column else None,
            source_context=tuple(Line(number, near[number]) for number in sorted(near)),
        )
