# SPDX-License-Identifier: GPL-2.0-or-later
"""A document of one table, for any format."""

from kprobe_tool.errors import PluginState
from kprobe_tool.report.document import Column, Document, Plugin, Table

HOST = {"hostname": "h", "release": "r"}
COLUMNS = (
    Column("NAME", "name"),
    Column("N", "n", right=True),
    Column("WHY", "why", wrap=True),
    Column("W", "w", wide=True),
)


def document(rows: list[dict[str, object]], **more: object) -> Document:
    tables = [Table(COLUMNS, rows, title="Things")]
    return Document("test", HOST, tables, plugin=Plugin(PluginState.OK, "fine"), one_line="fine", **more)  # type: ignore[arg-type]
