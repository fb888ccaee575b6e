# SPDX-License-Identifier: GPL-2.0-or-later
"""The one way to print: rows to stdout in the format asked for, errors to stderr in one line each."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING

import click

from kprobe_tool.errors import Error
from kprobe_tool.report.text import escape

if TYPE_CHECKING:
    from kprobe_tool.report.document import Document

PROGRAM = "kprobe-tool"
CHUNK = 1024
"""Lines per write(2)."""


class Output(StrEnum):
    """The formats of ``-o``: each is a module here, whose ``render`` gives the lines of a Document."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    JSONL = "jsonl"
    PROMETHEUS = "prometheus"
    NRPE = "nrpe"
    LINE = "line"
    GITHUB = "github"
    SARIF = "sarif"

    @property
    def for_people(self) -> bool:
        """Whether it shows columns, pictures and summaries; the others have rows, or what monitoring asks for."""
        return self in {Output.TABLE, Output.WIDE}


COMMON = (Output.TABLE, Output.WIDE, Output.JSON, Output.JSONL)
"""The formats of every command."""


def render(document: Document, output: Output) -> Iterator[str]:
    """The lines of a document, from the module of the format's name, which is imported only where it is used."""
    lines: Iterator[str] = import_module(f"kprobe_tool.report.{output.value}").render(document)
    return lines


def emit(document: Document, output: Output, *, path: str | None = None, quiet: bool = False) -> None:
    """Print a document: stdout gets one valid document of its format and nothing else.

    With ``path`` the file of that name gets it instead, whole or not at all, readable by everyone. Raises Error.
    """
    lines = iter(render(document, output))
    if path is not None:
        from kprobe_tool import files

        files.replace(path, map(click.unstyle, lines), mode=0o644)
    while chunk := list(itertools.islice(lines, CHUNK)):
        click.echo("\n".join(chunk))
    if not quiet:
        for warning in document.warnings:
            say(warning)
    for error in document.errors:
        say(error)


def say(error: Error | str, command: str | None = None) -> None:
    """One line on stderr: ``kprobe-tool: COMMAND: what: why (ERRNO); what to do``. Without one it is the command
    that runs."""
    if command is None:
        context = click.get_current_context(silent=True)
        command = context.command_path.removeprefix(PROGRAM).strip() if context is not None else ""
    where = f"{PROGRAM}: {command}" if command else PROGRAM
    click.echo(escape(f"{where}: {error}"), err=True)


class Progress:
    """One line on a terminal's stderr that says what is waited for, and goes when the ``with`` block ends."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.shown = not quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def say(self, text: str) -> None:
        if self.shown:
            # To the start of the line, and what is behind the text away.
            click.echo(f"\r{escape(text)}\x1b[K", nl=False, err=True, color=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.say("")
