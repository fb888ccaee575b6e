# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands before (and behind) each line of a log, learnt from the lines that look like instructions.

Before ``7: (79) r0 = ...`` a bare log has nothing. Whatever it is that stands there, an indent, quotes of a mail, a
time stamp with a host and a process, the number of a line, has the same shape on every line: the same punctuation,
with other numbers and perhaps other words in it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from mmap import mmap
from typing import NamedTuple

Data = bytes | mmap
"""A log in memory, or one that is mapped."""

SAMPLE = 1 << 18
"""Bytes in which lines are looked at."""
SEARCH_MAX = 1 << 24
"""Bytes from the end in which the log is looked for among other text."""
PREFIX_MAX = 200
"""Characters before an instruction, at the most."""
SHAPES_MAX = 4
"""Shapes that are told apart: more than one service may write into one log."""

INSN = re.compile(r"(?<![\w.])\d{1,7}: \([0-9a-f]{2}\) (?=[a-z*(])")
"""An instruction, wherever on the line."""
WORDS = re.compile(
    r"processed \d{1,9} insns \(limit|R\d{1,2} (?:!read_ok|type=|invalid mem access '|m(?:in|ax) value is )"
    r"|invalid (?:access to (?:map|packet)|indirect |bpf_context|read from stack|stack )"
    r"|(?:libbpf: (?:prog '[^']{1,64}': )?)?-- (?:BEGIN|END) (?:PROG |DUMP |LOG)"
)
"""What the kernel, and libbpf around it, say in lines that are no instructions."""
CONTROL = re.compile(r"\x1b\[[0-9;]{0,16}[A-Za-z]")
TOKEN = re.compile(r"\d+|[^\W\d_]+|\s+|.", re.DOTALL)
NOT_A_PREFIX = re.compile(r"(?:.*\bbefore |mark_precise:.*|from \d+ to \d+: ?)", re.DOTALL)
"""What the kernel itself writes before an instruction on the same line."""


class Wrapping(NamedTuple):
    """The shapes of what stands before a line, and the quotation mark that closes it, if it is one."""

    shapes: tuple[re.Pattern[str], ...] = ()
    indent: int = 0
    quote: str = ""

    def strip(self, text: str) -> str:
        """A line without it; one of another shape is left alone."""
        for shape in self.shapes:
            found = shape.match(text)
            if found is not None:
                return self.inside(text[found.end() :])
        if self.indent:
            return text[min(self.indent, len(text) - len(text.lstrip())) :]
        return text

    def inside(self, text: str) -> str:
        """What a quotation mark closes."""
        if not self.quote:
            return text
        end = text.rfind(self.quote)
        return (text[:end] if end >= 0 else text).replace(f"\\{self.quote}", self.quote)


BARE = Wrapping()


def learn(data: Data) -> Wrapping:
    """The wrapping of a log."""
    lines = sample(data, rb"\d: \([0-9a-f]{2}\) ")
    prefixes = prefixes_before(lines, INSN)
    if not prefixes:
        lines = lines or sample(data, rb"processed \d+ insns|R\d{1,2} |invalid |-- (?:BEGIN|END) ")
        prefixes = prefixes_before(lines, WORDS)
    bodies: dict[str, list[str]] = {}
    for prefix in prefixes:
        bodies.setdefault(pattern(prefix.rstrip()), []).append(prefix)
    if not bodies or len(bodies.get("", ())) * 2 > len(prefixes):
        width = indent(bodies[""]) if bodies else 0
        return Wrapping(indent=width) if width else BARE
    common = [body for body, _ in Counter({k: len(v) for k, v in bodies.items()}).most_common(SHAPES_MAX) if body]
    shapes = tuple(
        re.compile(narrow_shape(body, bodies[body]) + rf"[ \t]{{0,{indent(bodies[body])}}}") for body in common
    )
    last = bodies[common[0]][0].rstrip()[-1:]
    return Wrapping(shapes, quote=last if last in "\"'`" else "")


def indent(prefixes: list[str]) -> int:
    """The blanks before an instruction: the fewest that more than a few lines have.

    Before they check a program, kernels since Linux v7.2 list its instructions with blanks before them.
    """
    widths = Counter(len(prefix) - len(prefix.rstrip()) for prefix in prefixes)
    few = max(2, len(prefixes) // 10)
    return min((width for width, count in widths.items() if count >= few), default=min(widths))


def sample(data: Data, mark: bytes) -> list[str]:
    """Lines around the last one that has the mark, from the end on; none where there is none."""
    expression = re.compile(mark)
    end = len(data)
    limit = max(0, end - SEARCH_MAX)
    while end > limit:
        begin = max(limit, end - SAMPLE)
        chunk = data[begin:end]
        if expression.search(chunk):
            return [
                CONTROL.sub("", line[: PREFIX_MAX * 3].decode("utf-8", "backslashreplace").rstrip("\r"))
                for line in chunk.split(b"\n")[:20_000]
            ]
        if begin == limit:
            return []
        end = begin + 64
    return []


def prefixes_before(lines: Iterable[str], anchor: re.Pattern[str]) -> list[str]:
    """What stands before the anchor, of each line that has it."""
    found = []
    for line in lines:
        place = anchor.search(line[: PREFIX_MAX + 32])
        if place is None:
            continue
        prefix = line[: place.start()]
        # A message without a newline has the verifier's last line right behind its last letter.
        if not prefix[-1:].isalnum() and not NOT_A_PREFIX.fullmatch(prefix):
            found.append(prefix)
    return found


def pattern(body: str) -> str:
    """The shape of a prefix as a regular expression: any number for a number, any word for a word."""
    if body in {"+", "-"}:
        return r"[+\- ]"
    shape = ""
    for token in TOKEN.findall(body):
        if token.isdigit() or token.isalpha() or token == "_":
            # A name with digits in it, such as a hash, is one word.
            shape = shape if shape.endswith(r"\w+") else shape + r"\w+"
        elif token.isspace():
            shape += r"\s*" if not shape else r"\s+"
        else:
            shape += re.escape(token)
    return shape


def narrow_shape(shape: str, prefixes: list[str]) -> str:
    """A shape with the last word that all lines share in its place, so that other programs' lines do not fit."""
    words = [re.findall(r"\w+", prefix) for prefix in prefixes]
    parts = shape.split(r"\w+")
    if len(parts) < 2 or any(len(each) != len(parts) - 1 for each in words):
        return bound_repetitions(shape)
    made = parts[0]
    for number, part in enumerate(parts[1:]):
        shared = {each[number] for each in words}
        word = next(iter(shared))
        made += (re.escape(word) if len(shared) == 1 and word.isalpha() and len(word) > 3 else r"\w+") + part
    return bound_repetitions(made)


def bound_repetitions(shape: str) -> str:
    """No repetition without a limit: a hostile line costs no more than a long one."""
    return shape.replace(r"\w+", r"\w{1,80}").replace(r"\s+", r"\s{1,40}").replace(r"\s*", r"\s{0,40}")
