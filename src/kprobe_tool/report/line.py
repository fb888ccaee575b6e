# SPDX-License-Identifier: GPL-2.0-or-later
"""``-o line``: one line of at most 80 bytes, which is what Kubernetes' node-problem-detector keeps of a message."""

from __future__ import annotations

from collections.abc import Iterator

from kprobe_tool.report.document import Document
from kprobe_tool.report.text import escape

BYTES_MAX = 80


def render(document: Document) -> Iterator[str]:
    """The one line of a document."""
    if document.one_line is None:
        raise TypeError(f"{document.name} has nothing for -o line")
    text = escape(document.one_line)
    if len(text.encode()) > BYTES_MAX:
        text = text.encode()[: BYTES_MAX - 3].decode(errors="ignore") + "..."
    yield text
