# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables for people: ``-o table`` fits the terminal where it can, ``-o wide`` shows every column unwrapped."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

import click

from kprobe_tool.report.document import Column, Document, Row, Span, Table
from kprobe_tool.report.text import escape, width, wrap_items, wrap_text

WRAP_MIN = 24
"""A wrapped column narrower than this is unreadable; the line is longer then."""


def render(document: Document, *, wide: bool = False) -> Iterator[str]:
    """Lines of all tables of a document."""
    separator = document.heading is not None
    if document.heading is not None:
        yield from (escape(line) for line in ([document.heading] if wide else wrap_items(document.heading)))
    for table in (*document.tables, *document.aside):
        if separator:
            yield ""
        separator = True
        if table.title is not None:
            for title in [escape(table.title)] if wide else wrap_text(table.title, 0):
                yield click.style(title, bold=True)
        if table.rows:
            yield from grid(table, wide=wide)
        else:
            yield f"  {escape(table.empty)}" if table.title is not None else escape(table.empty)
    if document.picture and separator:
        yield ""
    for line in document.picture:
        yield "".join(style(span) for span in line)
    if document.summary and separator:
        yield ""
    for text in document.summary:
        yield from ([escape(text)] if wide else wrap_text(text, 0))


def style(span: Span) -> str:
    """A stretch of a line, escaped; where nothing is coloured, click takes the styles out again."""
    text = escape(span.text)
    return (
        text if span.colour is None and not span.bold else click.style(text, fg=span.colour, bold=span.bold or None)
    )


def grid(table: Table, *, wide: bool) -> list[str]:
    # Not for a document whose tables are empty.
    import tabulate

    # Two blanks between columns are enough; two more behind each title, as tabulate has it, make the lines longer
    # than wrap_room() reckons.
    tabulate.MIN_PADDING = 0
    columns = [column for column in table.columns if wide or not column.wide]
    cells = [[cell(column.of(row)) for column in columns] for row in table.rows]
    room = None if wide else wrap_room(columns, cells)
    if room is not None:
        for line in cells:
            for number, column in enumerate(columns):
                if column.wrap:
                    line[number] = "\n".join(textwrap.wrap(line[number], room, break_on_hyphens=False)) or "-"
    for line, row in zip(cells, table.rows, strict=True):
        paint(columns, line, row)
    titles = [column.title for column in columns]
    text = tabulate.tabulate(
        cells,
        headers=titles if any(titles) else (),
        tablefmt="plain",
        disable_numparse=True,
        colalign=["right" if column.right else "left" for column in columns],
    )
    return [line.rstrip() for line in text.splitlines()]


def wrap_room(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> int | None:
    """Characters left on a line for the wrapped column, or None when no column wraps."""
    line_width = width()
    if line_width is None or not any(column.wrap for column in columns):
        return None
    used = sum(
        2 + max(len(column.title), *(len(line[number]) for line in cells))
        for number, column in enumerate(columns)
        if not column.wrap
    )
    return max(WRAP_MIN, line_width - used)


def paint(columns: Sequence[Column], line: list[str], row: Row) -> None:
    for number, column in enumerate(columns):
        colour = column.colour(column.of(row)) if column.colour else None
        if colour is not None:
            line[number] = click.style(line[number], fg=colour)


def cell(value: object) -> str:
    """One value as a person reads it; nothing known is ``-``."""
    if value is None or value in ("", [], ()):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ",".join(cell(item) for item in value)
    if isinstance(value, Mapping):
        return " ".join(f"{escape(str(key))}={cell(item)}" for key, item in value.items())
    return escape(str(value))
