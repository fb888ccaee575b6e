# SPDX-License-Identifier: GPL-2.0-or-later
"""Documents whose rows come one by one: shown at once to people and as jsonl, kept for the one document of json."""

from __future__ import annotations

import json
import select
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import overload

import click

from kprobe_tool.errors import Error
from kprobe_tool.report.document import Document, Row, Table
from kprobe_tool.report.output import Output, emit, say
from kprobe_tool.report.text import escape


class Spool(Sequence[Row]):
    """Rows in a file without a name, so that a long run needs no memory and leaves nothing."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile("w+", encoding="utf-8")
        self.count = 0

    def add(self, row: Row) -> None:
        self.file.write(json.dumps(row) + "\n")
        self.count += 1

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Row]:
        self.file.seek(0)
        return map(json.loads, self.file)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        return list(self)[index]


class Live:
    """Prints the rows of ``document``, which has none yet, as they come; ``lines`` makes a row what people read.

    ``finish()`` prints what is known at the end: ``summary``, the last line of jsonl (type ``summary``) and a member
    of the json document, and for people ``told`` on stderr.
    """

    def __init__(self, document: Document, output: Output, lines: Callable[[Row], Iterable[str]]) -> None:
        self.document = document
        self.output = output
        self.lines = lines
        self.spool = Spool() if output is Output.JSON else None
        if output is Output.JSONL:
            click.echo(json.dumps({"type": "header", **document.header()}))

    def row(self, row: Row) -> None:
        """One event. click.echo() flushes."""
        if self.spool is not None:
            self.spool.add(row)
        elif self.output is Output.JSONL:
            click.echo(json.dumps({"type": "result", **row}))
        else:
            click.echo("\n".join(escape(line) for line in self.lines(row)))

    def finish(self, summary: Row, errors: Sequence[Error], told: str) -> None:
        if self.spool is not None:
            more = {**self.document.more, "summary": summary}
            emit(replace(self.document, tables=[Table((), self.spool)], errors=errors, more=more), self.output)
            return
        if self.output is Output.JSONL:
            for error in errors:
                click.echo(json.dumps({"type": "error", **error.as_dict()}))
            click.echo(json.dumps({"type": "summary", **summary}))
        else:
            say(told, self.document.command)
        for warning in self.document.warnings:
            say(warning, self.document.command)
        for error in errors:
            say(error, self.document.command)

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, where: TracebackType | None
    ) -> None:
        if self.spool is not None:
            self.spool.file.close()


def note_reader() -> None:
    """Raises BrokenPipeError where nobody reads stdout any more, which a quiet command would not notice."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return
    if any(events & select.POLLERR for _, events in poll.poll(0)):
        raise BrokenPipeError
