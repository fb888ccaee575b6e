# SPDX-License-Identifier: GPL-2.0-or-later
"""``-o json``: one object."""

from __future__ import annotations

import json
from collections.abc import Iterator

from kprobe_tool.report.document import Document

INDENT = 2


def render(document: Document) -> Iterator[str]:
    """The whole document as one JSON object (schemas/ describes it), by lines.

    The rows are encoded one by one, so that not all have to be in memory at once.
    """
    for part in parts(document):
        yield from part.split("\n")


def parts(document: Document) -> Iterator[str]:
    yield "{"
    for name, value in document.header().items():
        yield f"{member(name)}{encode(value, 1)},"
    before, filled = f"{member('results')}[", False
    for row in (row for table in document.tables for row in table.rows):
        yield f"{before}," if filled else before
        before, filled = " " * 2 * INDENT + encode(row, 2), True
    if filled:
        yield before
        yield f"{'':{INDENT}}],"
    else:
        yield f"{before}],"
    yield f"{member('errors')}{encode([error.as_dict() for error in document.errors], 1)}"
    yield "}"


def member(name: str) -> str:
    """The beginning of a member of the object."""
    return f"{'':{INDENT}}{json.dumps(name)}: "


def encode(value: object, depth: int) -> str:
    """A value that stands ``depth`` levels deep; a newline inside a string is escaped, so these are the encoder's."""
    return json.dumps(value, indent=INDENT).replace("\n", "\n" + " " * INDENT * depth)
