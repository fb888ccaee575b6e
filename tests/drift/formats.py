# SPDX-License-Identifier: GPL-2.0-or-later
"""What the verifier prints, by the format strings in kernel/bpf, and which of it no row of our messages knows."""

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from kprobe_tool.probes.verifier.messages.row import split_wording
from kprobe_tool.probes.verifier.messages.table import TABLE, match

PRINTERS = {
    "verbose": "",
    "verbose_a": "",
    "verbose_linfo": "",
    "bpf_log": "",
    "verifier_bug": "verifier bug: ",
    "verifier_bug_if": "verifier bug: ",
}
"""The functions that print into a program's log, and what each puts before the message."""
NO_MESSAGES = frozenset({"disasm.c", "liveness.c", "log.c"})
"""Files that print instructions, states and what is found on the way, and no reason for a rejection."""
SOURCES = ("kernel/bpf/**/*.c", "net/core/filter.c", "net/ipv4/bpf_tcp_ca.c")

WITHOUT_ROW = Path(__file__).parent / "without-row.txt"

CALL = re.compile(rf"\b({'|'.join(PRINTERS)})\s*\(")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
STRINGS = re.compile(rf"{STRING.pattern}(?:\s*{STRING.pattern})*")
"""String literals one behind the other, which the compiler puts together."""
CONVERSION = re.compile(r"%[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh|h|ll|l|z)?([diuxXscp%])")
ESCAPES = {r"\n": "\n", r"\t": "\t", r"\"": '"', r"\\": "\\"}

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "s": ("R1", "map_value", "bpf_lock", "arg#0", "[0, 1]", "", " write to", "s are"),
    "x": ("7",),
    "X": ("7",),
    "p": ("7",),
    "c": ("R",),
    "%": ("%",),
}
"""Examples of what each conversion may print, as different as the fields of our wordings are."""
NUMBERS = ("3", "-8")
TRIES = 3000
"""How many combinations of examples are tried, at most, for a format with many conversions."""
TELLING = 4
"""A literal shorter than this says nothing of the message that it is in."""


def arguments(text: str, start: int) -> str:
    """The arguments of a call whose opening parenthesis is before ``start``; strings in them may hold parentheses."""
    depth, place = 1, start
    while place < len(text):
        if text[place] == '"' and (found := STRING.match(text, place)):
            place = found.end()
            continue
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            break
        place += 1
    return text[start:place]


def first_string(text: str) -> str | None:
    """The text of the first string literal, joined with those right behind it."""
    found = STRINGS.search(text)
    if found is None:
        return None
    whole = "".join(part[1] for part in STRING.finditer(found[0]))
    return unescape(whole)


def unescape(literal: str) -> str:
    """The text of a string literal."""
    return re.sub(r"\\.", lambda escape: ESCAPES.get(escape[0], escape[0]), literal)


def formats(text: str) -> Iterator[tuple[int, str]]:
    """(line, format) of each call that prints; the format begins with what its printer puts before it."""
    for call in CALL.finditer(text):
        found = first_string(arguments(text, call.end()))
        # What prints nothing but punctuation between parts of a line has no message.
        if found is not None and re.search("[A-Za-z]{3}", CONVERSION.sub("", found)):
            yield text.count("\n", 0, call.start()) + 1, PRINTERS[call[1]] + found


def formats_of(source: Path) -> dict[str, str]:
    """Each format of a kernel's source, and FILE:LINE of where it is printed first."""
    places: dict[str, str] = {}
    for pattern in SOURCES:
        for path in sorted(source.glob(pattern)):
            if path.name in NO_MESSAGES:
                continue
            for line, text in formats(path.read_text(encoding="utf-8", errors="replace")):
                places.setdefault(text, f"{path.relative_to(source)}:{line}")
    return places


def renderings(text: str) -> Iterator[str]:
    """What a format may print, with examples for its conversions."""
    kinds = [found[1] for found in CONVERSION.finditer(text)]
    for values in itertools.islice(itertools.product(*(EXAMPLES.get(kind, NUMBERS) for kind in kinds)), TRIES):
        # split() gives the conversions' letters between the literals, as CONVERSION has a group.
        literal, *others = CONVERSION.split(text)[::2]
        yield literal + "".join(itertools.chain(*zip(values, others, strict=True)))


def literals() -> list[str]:
    """The texts of our wordings, with a mark where a field is."""
    return [
        "\0".join(literal for literal, _ in split_wording(wording))
        for group in TABLE
        for row in group.rows
        for wording in row.wordings
    ]


def has_row(text: str, wordings: list[str]) -> bool:
    """Whether a row has a line of a format or, if the format ends within a line, its longest literal."""
    for rendering in renderings(text):
        if any(match(line.strip()) is not None for line in rendering.splitlines() if line.strip()):
            return True
    if text.endswith("\n"):
        return False
    longest = max((literal.strip() for literal in CONVERSION.split(text)[::2]), key=len)
    return len(longest) >= TELLING and any(longest in wording for wording in wordings)


def unknown_formats(source: Path, without_row: frozenset[str]) -> Iterator[str]:
    """A line for each format that has no row, and is not in the list of those without one."""
    wordings = literals()
    for text, place in formats_of(source).items():
        if line_of(text) not in without_row and not has_row(text, wordings):
            yield f"{place}: no row of the messages has: {line_of(text)}"


def read_without_row() -> frozenset[str]:
    """The formats that need no row; the list itself says why."""
    lines = WITHOUT_ROW.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


def line_of(text: str) -> str:
    """A format as a line of the list."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\0", "\\0")
