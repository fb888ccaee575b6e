# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines of a C file for bcc, which compiles not the file but what it makes of it: lines added, others rewritten."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from dataclasses import replace

from kprobe_tool.probes.verifier.diagnosis import Diagnosis, Line, Place

COMPILED = "main.c"
"""What bcc calls the text that it compiles."""
LINE = re.compile(r"^; (.*?)(?: @ (?:[^@\n]{0,255}/)?main\.c:(\d{1,9}))?$", re.MULTILINE)
AROUND = 2


def restore_lines(diagnosis: Diagnosis, path: str, text: str, log: bytes) -> Diagnosis:
    """The diagnosis with the lines of the file itself.

    Lines that bcc left alone are found by their text; those between are counted from the nearest of them.
    """
    return diagnosis.with_places(RewrittenSource(path, text, log).place)


class RewrittenSource:
    """The lines of a file, and where each of them is in the text that was compiled."""

    def __init__(self, path: str, text: str, log: bytes) -> None:
        self.file = os.path.basename(path)
        self.lines = text.splitlines()
        self.numbers: dict[str, list[int]] = {}
        for number, line in enumerate(self.lines, 1):
            self.numbers.setdefault(line.strip(), []).append(number)
        anchors = {
            int(compiled): mine
            for source, compiled in LINE.findall(log.decode("utf-8", "replace"))
            if compiled and (mine := self.only(source)) is not None
        }
        self.anchors = sorted(anchors.items())

    def only(self, source: str | None) -> int | None:
        """The number of the line with this text, if there is exactly one."""
        numbers = self.numbers.get((source or "").strip(), [])
        return numbers[0] if len(numbers) == 1 and (source or "").strip() else None

    def line_of(self, place: Place) -> int | None:
        """The number of the line in the file, for a place in the compiled text; None where that is not known."""
        if place.file is not None and os.path.basename(place.file) != COMPILED:
            return None
        if (found := self.only(place.source)) is not None or place.line is None or not self.anchors:
            return found
        # bcc adds lines and removes none: after an anchor a line is as far from it as in the file, or farther.
        after = bisect_right([compiled for compiled, _ in self.anchors], place.line)
        compiled, mine = self.anchors[max(0, after - 1)]
        number = mine + place.line - compiled
        return number if 0 < number <= len(self.lines) else None

    def place(self, place: Place) -> Place:
        """The place with the line of the file itself; unchanged where none is known."""
        number = self.line_of(place)
        if number is None:
            return place
        first, last = max(1, number - AROUND), min(len(self.lines), number + AROUND)
        around = tuple(Line(each, self.lines[each - 1].rstrip()) for each in range(first, last + 1))
        return replace(
            place,
            file=self.file,
            line=number,
            source=self.lines[number - 1].strip(),
            column=None,
            caret=None,
            source_context=tuple(line for line in around if line.text),
        )
