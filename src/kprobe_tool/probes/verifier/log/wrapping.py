# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands before (and behind) each line of a log, learnt from the lines that look like instructions.

In a bare log nothing stands before ``7: (79) r0 = ...``. If something does (an indent, the quotes of a mail, a time
stamp with a host and a process, a line's number), it has the same shape on every line: the same punctuation, with
other numbers and perhaps other words between.
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
"""Shapes that one log may have: more than one service may write into it."""

INSN = re.compile(r"(?<![\w.])\d{1,7}: \([0-9a-f]{2}\) (?=[a-z*(])")
"""An instruction, anywhere on the line."""
WORDS = re.compile(
    r"processed \d{1,9} insns \(limit|R\d{1,2} (?:!read_ok|type=|invalid mem access '|m(?:in|ax) value is )"
    r"|invalid (?:access to (?:map|packet)|indirect |bpf_context|read from stack|stack )"
    r"|(?:libbpf: (?:prog '[^']{1,64}': )?)?-- (?:BEGIN|END) (?:PROG |DUMP |LOG)"
)
"""How lines of the kernel that are no instructions can begin, and those of libbpf around them."""
CONTROL = re.compile(r"\x1b\[[0-9;]{0,16}[A-Za-z]")
TOKEN = re.compile(r"\d+|[^\W\d_]+|\s+|.", re.DOTALL)
NOT_A_PREFIX = re.compile(
    r"(?:.*\bbefore |mark_precise:.*|from \d+ to \d+: ?|.*\bR\d{1,2}(?:_\w{1,4})?=.*)", re.DOTALL
)
"""What the kernel itself writes before an instruction on the same line."""


class Wrapping(NamedTuple):
    """What stands around each line: a prefix of one of these shapes, or an indent; and a closing quotation mark."""

    shapes: tuple[re.Pattern[str], ...] = ()
    indent: int = 0
    quote: str = ""

    def strip(self, text: str) -> str:
        """A line without its wrapping; one of another shape stays as it is."""
        for shape in self.shapes:
            found = shape.match(text)
            if found is not None:
                return self.unquote(text[found.end() :])
        if self.indent:
            return text[min(self.indent, len(text) - len(text.lstrip())) :]
        return text

    def unquote(self, text: str) -> str:
        """The text up to the closing quotation mark, without the backslashes before those within."""
        if not self.quote:
            return text
        end = text.rfind(self.quote)
        return (text[:end] if end >= 0 else text).replace(f"\\{self.quote}", self.quote)


BARE = Wrapping()


def learn_wrapping(data: Data) -> Wrapping:
    """The wrapping of a log, from the lines around its last instruction or message."""
    lines = sample_lines(data, rb"\d: \([0-9a-f]{2}\) ")
    prefixes = prefixes_before(lines, INSN)
    if not prefixes:
        lines = lines or sample_lines(data, rb"processed \d+ insns|R\d{1,2} |invalid |-- (?:BEGIN|END) ")
        prefixes = prefixes_before(lines, WORDS)
    bodies: dict[str, list[str]] = {}
    for prefix in prefixes:
        bodies.setdefault(shape_of(prefix.rstrip()), []).append(prefix)
    if not bodies or len(bodies.get("", ())) * 2 > len(prefixes):
        width = indent_of(bodies[""]) if bodies else 0
        return Wrapping(indent=width) if width else BARE
    common = [body for body, _ in Counter({k: len(v) for k, v in bodies.items()}).most_common(SHAPES_MAX) if body]
    shapes = tuple(
        re.compile(narrow_shape(body, bodies[body]) + rf"[ \t]{{0,{indent_of(bodies[body])}}}") for body in common
    )
    last = bodies[common[0]][0].rstrip()[-1:]
    return Wrapping(shapes, quote=last if last in "\"'`" else "")


def indent_of(prefixes: list[str]) -> int:
    """The indent of instructions: the smallest that more than a few lines have.

    Kernels since Linux v7.2 list a program's instructions, indented, before they check it; those do not count.
    """
    widths = Counter(len(prefix) - len(prefix.rstrip()) for prefix in prefixes)
    few = max(2, len(prefixes) // 10)
    return min((width for width, count in widths.items() if count >= few), default=min(widths))


def sample_lines(data: Data, mark: bytes) -> list[str]:
    """Lines around the last one that has the mark, which is searched from the end; empty where there is none."""
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
    """What stands before the anchor, for each line that has the anchor."""
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


def shape_of(body: str) -> str:
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
    """A shape in which long words that all lines share stand for themselves: lines of other programs do not match."""
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
