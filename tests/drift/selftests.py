# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel's own tests expect in the logs of programs that they want rejected, and which of it no row knows.

A test expects a part of a line. A row knows it if its wording has as much of the part's own text as the format has
that prints it in the kernel: a wording that takes the text for one of its fields knows nothing of it.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kprobe_tool.probes.verifier.messages.table import match

from .formats import CONVERSION, STRINGS, TELLING, arguments, first_string, formats_of, has_row, literals

SELFTEST_DIRECTORIES = ("tools/testing/selftests/bpf/progs", "tools/testing/selftests/bpf/verifier")
DIAGNOSTICS = "kernel/bpf/diagnostics.c"
"""The blocks that the kernel writes since v7.3 are read as they are: none of their texts needs a row."""
DIAGNOSE = re.compile(r"\bbpf_diag_\w+\s*\(")
SUGGESTION = re.compile(rf"\b(?:suggestion|reason)\s*=\s*({STRINGS.pattern})")

NO_REASONS = Path(__file__).parent / "selftests-no-reasons.txt"

EXPECTED = re.compile(r"\b__msg(_unpriv)?\s*\(|\.errstr(?:_unpriv)?\s*=")
FAILURE = re.compile(r"\b__failure(_unpriv)?\b")
FUNCTION_END = re.compile(r"^\}", re.MULTILINE)
"""Behind it, the attributes of the next function begin."""

REGEX = re.compile(r"\{\{(.*?)\}\}")
"""An extended regular expression in an expectation, for text that may differ."""
REGISTER = re.compile(r"R%d|arg#?%d")
"""An argument, which in our wordings is a field with the letters before its number."""
NUMBER = re.compile(r"\(?(?:\[0-9\]|\[\[:digit:\]\])[+*]?\)?")
ALTERNATIVES = re.compile(r"\(?([^()|]+)\|[^()]*\)?")


@dataclass(frozen=True)
class Expectation:
    """A text that the log of a rejected program must have, and FILE:LINE of the first test that wants it."""

    text: str
    place: str


@dataclass(frozen=True)
class Share:
    """How many expectations there are, and which have no row; those that are no reasons are not counted."""

    messages: int
    unknown: list[Expectation]
    others: int

    def __str__(self) -> str:
        known = self.messages - len(self.unknown)
        share = f"{100 * known / self.messages:.1f} %" if self.messages else "none"
        return f"{known} of {self.messages} messages have a row ({share}); of other texts {self.others}"


def expectations(text: str) -> Iterator[tuple[int, str]]:
    """(line, text) of each line that a test expects in the log of a program that must be rejected."""
    ends = [0, *(found.start() for found in FUNCTION_END.finditer(text)), len(text)]
    for start, end in itertools.pairwise(ends):
        block = text[start:end]
        failing = {found[1] for found in FAILURE.finditer(block)}
        for found in EXPECTED.finditer(block):
            if found[0].startswith("__msg"):
                literal = first_string(arguments(block, found.end())) if found[1] in failing else None
            else:
                literal = first_string(block[found.end() : block.find(",\n", found.end())])
            for line in (literal or "").splitlines():
                if line.strip():
                    yield text.count("\n", 0, start + found.start()) + 1, line.strip()


def read_expectations(source: Path) -> list[Expectation]:
    """The expectations of all tests in a kernel's source, each text once."""
    places: dict[str, str] = {}
    for directory in SELFTEST_DIRECTORIES:
        for path in sorted((source / directory).glob("*.c")):
            for line, text in expectations(path.read_text(encoding="utf-8", errors="replace")):
                places.setdefault(text, f"{path.relative_to(source)}:{line}")
    return [Expectation(text, place) for text, place in places.items()]


def example(text: str) -> str:
    """An expectation with an example of what each regular expression in it may match."""
    return REGEX.sub(lambda found: example_of(found[1]), text)


def example_of(regex: str) -> str:
    regex = ALTERNATIVES.sub(r"\1", NUMBER.sub("3", regex))
    return re.sub(r"\\+(.)", r"\1", re.sub(r"\.[*+]", "x", regex))


Pieces = tuple[str, ...]
"""The literal texts of a format or a wording; between two of them is what differs from line to line."""


@cache
def windows(pieces: Pieces) -> tuple[re.Pattern[str], ...]:
    """Patterns of the parts of a line that begin in, or before, one of the pieces and end in a later one."""
    found = []
    for first, piece in enumerate(pieces):
        pattern = "(?:" + "|".join(re.escape(piece[place:]) for place in range(len(piece) + 1)) + ")"
        for last in range(first + 1, len(pieces)):
            ends = (re.escape(pieces[last][:place]) for place in range(len(pieces[last]), -1, -1))
            found.append(re.compile(f"{pattern}(.*?)(?:{'|'.join(ends)})"))
            pattern += "(.*?)" + re.escape(pieces[last])
    return tuple(found)


def words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]{3,}", text))


def count_covered(text: str, pieces: Pieces) -> int:
    """How many characters of a part of a line are the pieces' own text; 0 if it is no part of such a line."""
    if any(text in piece for piece in pieces):
        return len(text)
    if not words(text) & words(" ".join(pieces)):
        return 0
    found = (window.fullmatch(text) for window in windows(pieces))
    return max((len(text) - sum(map(len, one.groups())) for one in found if one is not None), default=0)


def pieces_of_formats(source: Path) -> dict[str, Pieces]:
    """The pieces of each line that the verifier prints, by its format."""
    lines = (line for text in formats_of(source) for line in text.splitlines(keepends=True))
    return {line: tuple(CONVERSION.split(REGISTER.sub("%s", line.strip()))[::2]) for line in lines if line.strip()}


def pieces_of_diagnostics(source: Path) -> list[Pieces]:
    """The pieces of the blocks' texts, and of what the verifier puts into them."""
    text = (source / DIAGNOSTICS).read_text(encoding="utf-8", errors="replace")
    verifier = (source / DIAGNOSTICS).with_name("verifier.c").read_text(encoding="utf-8", errors="replace")
    text += "".join(arguments(verifier, call.end()) for call in DIAGNOSE.finditer(verifier))
    text += "\n;".join(found[1] for found in SUGGESTION.finditer(verifier))
    return [tuple(CONVERSION.split(first_string(found[0]) or "")[::2]) for found in STRINGS.finditer(text)]


def read_no_reasons() -> frozenset[str]:
    """The expectations that are no reasons for a rejection; the list itself says what they are."""
    lines = NO_REASONS.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


def belongs_to_row(text: str, wordings: list[str], formats: dict[str, Pieces]) -> bool:
    """Whether a part of a line has a row: one that it matches itself, or that of the format which has most of it."""
    if match(text) is not None:
        return True
    own = {format_: count_covered(text, pieces) for format_, pieces in formats.items()}
    most = max(own.values())
    known = max(count_covered(text, tuple(wording.split("\0"))) for wording in wordings)
    if known >= max(most, min(TELLING, len(text))):
        return True
    return most >= TELLING and any(has_row(format_, wordings) for format_, count in own.items() if count == most)


def share_with_row(source: Path, no_reasons: frozenset[str]) -> Share:
    """How many of the expectations in a kernel's source have a row."""
    expected = read_expectations(source)
    wordings, formats, diagnostics = literals(), pieces_of_formats(source), pieces_of_diagnostics(source)
    messages = [one for one in expected if one.text not in no_reasons]
    unknown = []
    for one in messages:
        text = example(one.text)
        diagnosed = len(text) >= TELLING and any(count_covered(text, pieces) == len(text) for pieces in diagnostics)
        if not diagnosed and not belongs_to_row(text, wordings, formats):
            unknown.append(one)
    return Share(len(messages), unknown, len(expected) - len(messages))
