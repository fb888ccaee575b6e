# SPDX-License-Identifier: GPL-2.0-or-later
"""The one way to print: rows to stdout in the format asked for, errors to stderr in one line each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from enum import StrEnum

import click

from kprobe_tool.errors import Error
from kprobe_tool.report.document import Document
from kprobe_tool.report.text import escape

PROGRAM = "kprobe-tool"
CHUNK = 1024
"""Lines per write(2)."""


class Output(StrEnum):
    """The formats of ``-o``."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    JSONL = "jsonl"


def render(document: Document, output: Output) -> Iterator[str]:
    """The lines of a document. Each format is imported only where it is used."""
    if output in {Output.TABLE, Output.WIDE}:
        from kprobe_tool.report import table

        return table.render(document, wide=output is Output.WIDE)
    from kprobe_tool.report import json

    return json.render(document) if output is Output.JSON else json.render_lines(document)


def emit(document: Document, output: Output) -> None:
    """Print a document: stdout gets one valid document of its format and nothing else."""
    lines = iter(render(document, output))
    while chunk := list(itertools.islice(lines, CHUNK)):
        click.echo("\n".join(chunk))
    for warning in document.warnings:
        say(warning, document.command)
    for error in document.errors:
        say(error, document.command)


def say(error: Error | str, command: str | None = None) -> None:
    """One line on stderr: ``kprobe-tool: COMMAND: what: why (ERRNO); what to do``."""
    where = f"{PROGRAM}: {command}" if command else PROGRAM
    click.echo(escape(f"{where}: {error}"), err=True)
