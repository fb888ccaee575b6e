# SPDX-License-Identifier: GPL-2.0-or-later
"""``-o jsonl``: one object a line, the first the header, each telling its ``type``."""

from __future__ import annotations

import json
from collections.abc import Iterator

from kprobe_tool.report.document import Document


def render(document: Document) -> Iterator[str]:
    """The lines of a document: ``{"type": "header"}``, then ``"result"`` and ``"error"`` lines."""
    yield json.dumps({"type": "header", **document.header()})
    for table in document.tables:
        for row in table.rows:
            yield json.dumps({"type": "result", **row})
    for error in document.errors:
        yield json.dumps({"type": "error", **error.as_dict()})
