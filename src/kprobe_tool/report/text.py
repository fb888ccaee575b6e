# SPDX-License-Identifier: GPL-2.0-or-later
"""What may reach a terminal, and how wide it is."""

from __future__ import annotations

import os
import textwrap

UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode categories that move the cursor, change the direction of writing, or stand for nothing."""


def escape(text: str) -> str:
    """Text from outside with everything that a terminal would obey written as ``\\xNN`` or ``\\uNNNN``."""
    if text.isascii() and text.isprintable():
        return text
    # Most text has no need of it.
    import unicodedata

    return "".join(escape_char(char) if unicodedata.category(char) in UNPRINTABLE else char for char in text)


def escape_char(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number <= 0xFF else f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def quantity(count: int, noun: str) -> str:
    """``1 host``, ``2 hosts``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def width() -> int | None:
    """How many characters a line has: COLUMNS, or the terminal's. None in a pipe, where nothing is wrapped."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns[:9]) > 0:
        return int(columns[:9])
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return None


def wrap_text(text: str, indent: int, first: str | None = None) -> list[str]:
    """The lines of a text from outside behind ``indent`` blanks, or behind ``first``; one line in a pipe."""
    room = width()
    start = " " * indent if first is None else first
    shown = escape(text)
    if room is None or not shown:
        return [(start + shown).rstrip()]
    return textwrap.wrap(
        shown,
        max(room, indent + 24),
        initial_indent=start,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
    )


def wrap_items(text: str) -> list[str]:
    """The lines of items that stand two blanks apart: broken between items where it can be."""
    room = width()
    lines: list[str] = []
    for item in text.split("  "):
        if lines and (room is None or len(lines[-1]) + 2 + len(item) <= room):
            lines[-1] += f"  {item}"
        else:
            lines.append(item)
    return [part for line in lines for part in wrap_text(line, 0)]
