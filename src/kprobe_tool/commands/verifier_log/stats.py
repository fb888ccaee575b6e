# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool verifier-log stats``: what verifying a program took, and which lines of it took most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kprobe_tool import files
from kprobe_tool.commands.options import output_option
from kprobe_tool.commands.verifier_log.rows import (
    LINE_COLUMNS,
    SUBPROGRAM_COLUMNS,
    line_rows,
    stats_line,
    stats_row,
    subprogram_rows,
)
from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.lazy import examples
from kprobe_tool.probes import host
from kprobe_tool.report.document import Document, Row, Table
from kprobe_tool.report.output import Output, emit

if TYPE_CHECKING:
    from kprobe_tool.probes.verifier.log.stats import Stats

NO_LINES = "the log shows no instructions: load at level 2, with line info in the BTF"

NEARLY_ALL = 0.95
"""The share of the verified instructions that counts as all: the kernel counts some that it does not show."""


def coverage(stats: Stats) -> str | None:
    """A warning where the log shows not all instructions that were verified, else None."""
    if stats.insns_processed is None or not stats.insns_shown:
        return None
    if stats.insns_shown + stats.insns_pruned >= stats.insns_processed * NEARLY_ALL:
        return None
    return (
        f"the log shows {stats.insns_shown} of {stats.insns_processed} verified instructions (at level 1 only "
        "those on the way to the rejection); the hottest lines are those among these"
    )


def log_row(path: str, stats: Stats, limit: int) -> Row:
    return {
        "log": path,
        **stats_row(stats),
        "insns_shown": stats.insns_shown,
        "insns_pruned": stats.insns_pruned,
        "lines": line_rows(stats, stats.lines[:limit]),
    }


def tables(path: str, stats: Stats, limit: int, *, several: bool) -> list[Table]:
    """What people see of one log."""
    where = f"{path}: " if several else ""
    lines = line_rows(stats, stats.lines[:limit])
    shown = [Table(LINE_COLUMNS, lines, title=f"{where}hottest lines", empty=NO_LINES)]
    if stats.subprograms:
        shown.insert(0, Table(SUBPROGRAM_COLUMNS, subprogram_rows(stats), title=f"{where}{stats_line(stats)}"))
    return shown


@click.command(
    short_help="Show what verifying a program took.",
    epilog=examples(
        "kprobe-tool verifier-log stats x.log",
        "kprobe-tool verifier-log stats x.log --lines 20",
    ),
)
@click.argument("paths", metavar="[LOG]...", nargs=-1, type=click.Path())
@click.option(
    "--lines", "limit", metavar="N", type=click.IntRange(0), default=10, show_default=True, help="How many lines."
)
@output_option()
def command(paths: tuple[str, ...], limit: int, output: Output) -> ExitCode:
    """Show what verifying a program took: instructions, states, time, stack, and the lines that took most.

    LOG is a log of the verifier; standard input without one. Time, stack and functions are in a log at level 4 or
    one that has it added (5 or 6), lines in one at level 2.
    """
    from kprobe_tool.probes.verifier.log.stats import read_file

    rows: list[Row] = []
    shown: list[Table] = []
    summary: list[str] = []
    errors: list[Error] = []
    notes: list[str] = []
    for path in paths or (files.STDIN,):
        try:
            stats = read_file(path)
        except Error as error:
            errors.append(error)
            continue
        rows.append(log_row(path, stats, limit))
        shown += tables(path, stats, limit, several=len(paths) > 1)
        if not stats.subprograms:
            summary.append(f"{path}: {stats_line(stats)}" if len(paths) > 1 else stats_line(stats))
        if note := coverage(stats):
            notes.append(f"{path}: {note}")
    if not rows:
        raise errors[0]
    people = output.for_people
    emit(
        Document(
            "verifier-log-stats",
            host.identity(),
            [] if people else [Table((), rows)],
            errors,
            aside=shown,
            summary=summary,
            warnings=notes,
        ),
        output,
    )
    return ExitCode.CANNOT_RUN if errors else ExitCode.OK
