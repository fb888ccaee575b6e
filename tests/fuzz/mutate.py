# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutations of bytes: some of what breaks parsers, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

SIZE_MAX = 1 << 16

TOKENS = (
    *(b"\x1b[2J", b"\x1b]0;x\x07", b"\x9b31m", b"\r", b"\n", b"\0", b"\x7f", b"\xff\xfe", b"\xc2\x9b", b"\t"),
    *(
        "\u202e".encode(),
        "\u2066".encode(),
        "\u200b".encode(),
        "\u3000".encode(),
        "\U000e0041".encode(),
        b"\xed\xa0\x80",
    ),
    *(
        b"-1",
        b"0",
        b"4294967296",
        b"18446744073709551616",
        b"1e999",
        b"NaN",
        b"null",
        b"true",
        b'"',
        b"'",
        b"\\u0000",
    ),
    *(b"{}", b"[]", b"{", b"[", b"]", b"}", b",", b":", b"%s", b"../", b"/", b" ", b"-", b"=", b"#", b"0-65535"),
)
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 63) - 1, (1 << 64) - 1)


def mutate(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """One input out of another: one to eight changes, at most SIZE_MAX bytes."""
    found = bytearray(data[:SIZE_MAX])
    for _ in range(1 << chance.randrange(4)):
        place = chance.randrange(len(found) + 1)
        kind = chance.randrange(8)
        if kind == 0 and found:
            found[min(place, len(found) - 1)] ^= 1 << chance.randrange(8)
        elif kind == 1 and found:
            found[min(place, len(found) - 1)] = chance.randrange(256)
        elif kind == 2:
            found[place:place] = chance.choice(TOKENS)
        elif kind == 3:
            token = chance.choice(TOKENS)
            found[place : place + len(token)] = token
        elif kind == 4:
            size = chance.choice((1, 2, 4, 8))
            number = chance.choice(NUMBERS) & ((1 << 8 * size) - 1)
            found[place : place + size] = number.to_bytes(size, "little")
        elif kind == 5:
            del found[place : place + chance.randrange(1, 64)]
        elif kind == 6:
            piece = found[place : place + chance.randrange(1, 256)]
            found[place:place] = piece * chance.randrange(1, 4)
        else:
            other = chance.choice(others)
            start = chance.randrange(len(other) + 1)
            found[place : place + 64] = other[start : start + chance.randrange(1, 256)]
    return bytes(found[:SIZE_MAX])
