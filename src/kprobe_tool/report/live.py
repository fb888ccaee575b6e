# SPDX-License-Identifier: GPL-2.0-or-later
"""Documents whose rows come one by one: shown at once to people and as jsonl, kept for the one document of json."""

from __future__ import annotations

import json
import select
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

import click

from kprobe_tool.errors import Error
from kprobe_tool.report.document import Document, Row, Table
from kprobe_tool.report.output import Output, emit, say


class Spool:
    """Rows in a file without a name, so that a long run needs no memory and leaves nothing."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.added = 0

    def add(self, row: Row) -> None:
        self.file.write(json.dumps(row) + "\n")
        self.added += 1

    def __len__(self) -> int:
        return self.added

    def __iter__(self) -> Iterator[Row]:
        self.file.seek(0)
        return map(json.loads, self.file)


class Live:
    """The rows of ``document``, which has none yet, printed as they come; ``empty`` is what people read where there
    are none."""

    def __init__(self, document: Document, output: Output, empty: str, spool: Spool) -> None:
        self.document = document
        self.output = output
        self.empty: str | None = empty
        self.spool = spool
        if output is Output.JSONL:
            click.echo(json.dumps({"type": "header", **document.header()}))
        if output is not Output.JSON:
            for warning in document.warnings:
                say(warning)

    def row(self, row: Row, lines: Iterable[str]) -> None:
        """One event: for scripts the row, for people the lines, with what is from outside escaped.

        The lines are made only where they are printed. click.echo() flushes.
        """
        if self.output is Output.JSON:
            self.spool.add(row)
        elif self.output is Output.JSONL:
            click.echo(json.dumps({"type": "result", **row}))
        else:
            click.echo("\n".join(lines))
            self.empty = None

    def finish(self, summary: Row, errors: Sequence[Error], last_line: str | None) -> None:
        """The end: ``summary`` is the last line of jsonl (type ``summary``) and a member of the json document; people
        read ``last_line``, on stderr."""
        if self.output is Output.JSON:
            more = {**self.document.more, "summary": summary}
            emit(self.document._replace(tables=[Table((), self.spool)], errors=errors, more=more), self.output)
            return
        if self.output is Output.JSONL:
            for error in errors:
                click.echo(json.dumps({"type": "error", **error.as_dict()}))
            click.echo(json.dumps({"type": "summary", **summary}))
        elif self.empty is not None and not errors:
            click.echo(self.empty)
        if self.output is Output.TABLE and last_line is not None:
            say(last_line)
        for error in errors:
            say(error)


@contextmanager
def live(document: Document, output: Output, empty: str) -> Iterator[Live]:
    """A Live and the file that it may need."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        yield Live(document, output, empty, Spool(file))


def note_reader() -> None:
    """Raises BrokenPipeError where nobody reads stdout any more, which a quiet command would not notice."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return
    if any(events & select.POLLERR for _, events in poll.poll(0)):
        raise BrokenPipeError
