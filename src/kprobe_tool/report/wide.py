# SPDX-License-Identifier: GPL-2.0-or-later
"""``-o wide``: the tables with every column, unwrapped."""

from __future__ import annotations

from collections.abc import Iterator

from kprobe_tool.report import table
from kprobe_tool.report.document import Document


def render(document: Document) -> Iterator[str]:
    """Lines of all tables of a document."""
    return table.render(document, wide=True)
