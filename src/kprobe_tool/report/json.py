# SPDX-License-Identifier: GPL-2.0-or-later
"""``-o json``: one object. ``-o jsonl``: one object a line, the first the header, each telling its ``type``."""

from __future__ import annotations

import json
from collections.abc import Iterator

from kprobe_tool.report.document import Document


def render(document: Document) -> Iterator[str]:
    """The whole document as one JSON object (schemas/ describes it)."""
    yield json.dumps(
        {
            **document.header(),
            "results": [dict(row) for table in document.tables for row in table.rows],
            "errors": [error.as_dict() for error in document.errors],
        },
        indent=2,
    )


def render_lines(document: Document) -> Iterator[str]:
    """The same, streamed: ``{"type": "header"}``, then ``"result"`` and ``"error"`` lines."""
    yield json.dumps({"type": "header", **document.header()})
    for table in document.tables:
        for row in table.rows:
            yield json.dumps({"type": "result", **row})
    for error in document.errors:
        yield json.dumps({"type": "error", **error.as_dict()})
