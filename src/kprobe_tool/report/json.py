# SPDX-License-Identifier: GPL-2.0-or-later
"""``-o json``: one object."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from kprobe_tool.report.document import Document, Row


class Stream(list[dict[str, Any]]):
    """A list of at least one row that is encoded row by row, so that not all have to be in memory at once."""

    def __init__(self, rows: Iterable[Row]) -> None:
        super().__init__()
        self.rows = rows

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (dict(row) for row in self.rows)


def render(document: Document) -> Iterator[str]:
    """The whole document as one JSON object (schemas/ describes it), by lines."""
    filled = any(len(table.rows) for table in document.tables)
    encoder = json.JSONEncoder(indent=2)
    line: list[str] = []
    for chunk in encoder.iterencode(
        {
            **document.header(),
            "results": Stream(row for table in document.tables for row in table.rows) if filled else [],
            "errors": [error.as_dict() for error in document.errors],
        }
    ):
        # A newline inside a string is escaped, so these are the encoder's own.
        first, *others = chunk.split("\n")
        line.append(first)
        for other in others:
            yield "".join(line)
            line = [other]
    yield "".join(line)
