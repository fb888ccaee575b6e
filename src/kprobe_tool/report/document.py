# SPDX-License-Identifier: GPL-2.0-or-later
"""What every renderer is given: the rows of one command, the same for people and for scripts.

A row is the JSON object that scripts will see; a column says which part of it people see, and where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from kprobe_tool import __version__
from kprobe_tool.errors import Error, PluginState

SCHEMA_VERSION = 1
"""Raised when a field changes its meaning or goes. New fields do not raise it."""

Row = Mapping[str, object]


class Column(NamedTuple):
    """One column of a table.

    ``value`` is a row's key or a function of the row. ``wide`` columns show only in the wide table, ``right`` ones
    are aligned right, a ``wrap`` column takes what is left of the line, ``colour`` names the colour of a value.
    """

    title: str
    value: str | Callable[[Row], object]
    wide: bool = False
    right: bool = False
    wrap: bool = False
    colour: Callable[[object], str | None] | None = None

    def of(self, row: Row) -> object:
        return row.get(self.value) if isinstance(self.value, str) else self.value(row)


class Rows(Protocol):
    """Rows that need not be in memory: their number, and one after the other as often as somebody wants them."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Row]: ...


class Table(NamedTuple):
    """Rows of one kind. ``empty`` is what people read where there are none."""

    columns: Sequence[Column]
    rows: Rows
    title: str | None = None
    empty: str = "none"


class Span(NamedTuple):
    """A stretch of a line that people read, in one style."""

    text: str
    colour: str | None = None
    bold: bool = False


class Metric(NamedTuple):
    """A gauge for Prometheus: its samples are (labels, value)."""

    name: str
    help: str
    samples: Sequence[tuple[Mapping[str, str], int]]


class Plugin(NamedTuple):
    """What a monitoring plugin says: a sentence, figures, and lines of detail."""

    state: PluginState
    text: str
    figures: Mapping[str, int] = {}
    details: Sequence[str] = ()


class Annotation(NamedTuple):
    """A remark about a line of source, for code hosts and editors. ``level`` is error or warning."""

    level: str
    rule: str
    title: str
    text: str
    file: str | None = None
    line: int | None = None
    column: int | None = None


class Document(NamedTuple):
    """One command's answer. ``name`` is that of its schema.

    ``host`` identifies who was asked. ``more`` holds further top-level JSON members. ``aside`` tables, the lines of
    a ``picture`` and ``summary`` lines are for people only, ``metrics``, ``plugin`` and ``one_line``
    for the formats of monitoring, ``annotations`` for those of code hosts.
    ``heading`` is the first line for people.
    A warning tells how to read the rows; an error, what is missing.
    """

    name: str
    host: Mapping[str, object]
    tables: Sequence[Table]
    errors: Sequence[Error] = ()
    more: Mapping[str, object] = {}
    aside: Sequence[Table] = ()
    picture: Sequence[Sequence[Span]] = ()
    summary: Sequence[str] = ()
    warnings: Sequence[str] = ()
    metrics: Sequence[Metric] = ()
    plugin: Plugin | None = None
    annotations: Sequence[Annotation] = ()
    one_line: str | None = None
    heading: str | None = None

    def header(self) -> dict[str, object]:
        """What stands before the rows in every machine-readable form."""
        return {
            "schema_version": SCHEMA_VERSION,
            "document": self.name,
            "tool": {"name": "kprobe-tool", "version": __version__},
            "host": dict(self.host),
            "warnings": list(self.warnings),
            **self.more,
        }
