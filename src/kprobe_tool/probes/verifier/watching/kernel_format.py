# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's printf, as far as the verifier's messages use it (lib/vsprintf.c, format_decode())."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

CONVERSION = re.compile(
    rb"%(?P<flags>[-+ #0]*)(?P<width>\*|\d{1,4})?(?:\.(?P<precision>\*|\d{0,4}))?"
    rb"(?P<length>hh|h|ll|l|L|z|Z|t|j)?(?P<letter>[%a-zA-Z])(?P<extension>[A-Za-z0-9]*)"
)
WIDTH_MAX = 256
BITS = {b"hh": 8, b"h": 16, None: 32}
"""All others are 64."""


class Args:
    """The arguments of one call, in their order; each is a number, and what it points to if that is a string."""

    def __init__(self, args: Sequence[int], strings: Sequence[bytes]) -> None:
        self._left: Iterator[tuple[int, bytes]] = iter(zip(args, strings, strict=True))

    def take(self) -> tuple[int, bytes] | None:
        return next(self._left, None)


def format_message(template: bytes, args: Sequence[int], strings: Sequence[bytes]) -> bytes:
    """A message. What is not known here, or has no argument any more, stands as in the format."""
    arguments = Args(args, strings)
    out, end = [], 0
    for match in CONVERSION.finditer(template):
        # A conversion begins where the one before has ended; %p alone takes letters behind it.
        extension = match["extension"] if match["letter"] == b"p" else b""
        out.append(template[end : match.start()])
        end = match.end() - len(match["extension"]) + len(extension)
        out.append(convert(match, arguments, template[match.start() : end]))
    out.append(template[end:])
    return b"".join(out)


def size_of(field: bytes | None, arguments: Args) -> int | None:
    """A width or precision, which may be an argument of its own."""
    if field != b"*":
        return None if field is None else int(field or b"0")
    taken = arguments.take()
    return 0 if taken is None else to_signed(taken[0], 32)


def to_signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def convert(match: re.Match[bytes], arguments: Args, raw: bytes) -> bytes:
    letter = match["letter"]
    if letter == b"%":
        return b"%"
    width = size_of(match["width"], arguments) or 0
    precision = size_of(match["precision"], arguments)
    taken = arguments.take()
    if taken is None:
        return raw
    number, string = taken
    bits = BITS.get(match["length"], 64)
    flags = match["flags"]
    if letter == b"s":
        body = string if precision is None else string[: max(0, precision)]
    elif letter == b"c":
        body = bytes([number & 0xFF])
    elif letter in {b"d", b"i"}:
        value = to_signed(number, bits)
        sign = b"-" if value < 0 else b"+" if b"+" in flags else b" " if b" " in flags else b""
        return pad(sign, digits(b"%d" % abs(value), precision), width, flags)
    elif letter in {b"u", b"o", b"x", b"X"}:
        value = number & ((1 << bits) - 1)
        prefix = b"" if b"#" not in flags else {b"x": b"0x", b"X": b"0X", b"o": b"0"}.get(letter, b"")
        return pad(prefix, digits((b"%" + letter.replace(b"u", b"d")) % value, precision), width, flags)
    elif letter == b"p" and not match["extension"]:
        body = b"%016x" % number
    else:
        return raw
    return pad(b"", body, width, flags.replace(b"0", b""))


def digits(body: bytes, precision: int | None) -> bytes:
    return body if precision is None else body.rjust(min(precision, WIDTH_MAX), b"0")


def pad(prefix: bytes, body: bytes, width: int, flags: bytes) -> bytes:
    """A negative width, which only an argument can be, is the flag ``-``."""
    left = b"-" in flags or width < 0
    room = min(abs(width), WIDTH_MAX)
    if left:
        return (prefix + body).ljust(room)
    if b"0" in flags:
        return prefix + body.rjust(room - len(prefix), b"0")
    return (prefix + body).rjust(room)
