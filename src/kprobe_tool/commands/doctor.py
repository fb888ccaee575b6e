# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool doctor``: what this host lets the tool do."""

from __future__ import annotations

import click

from kprobe_tool.commands.options import output_option
from kprobe_tool.errors import ExitCode
from kprobe_tool.probes import host
from kprobe_tool.report.document import Column, Document, Table
from kprobe_tool.report.output import Output, emit


def available_colour(value: object) -> str | None:
    return {True: "green", False: "yellow"}.get(value) if isinstance(value, bool) else None


COLUMNS = (
    Column("AVAILABLE", "available", colour=available_colour),
    Column("NAME", "name"),
    Column("DETAIL", "detail", wrap=True),
    Column("TO GET IT", "hint", wide=True),
)


@click.command(short_help="Show what this host lets the tool do, and how to get the rest.")
@output_option()
def command(output: Output) -> ExitCode:
    """Show what this host lets the tool do, and how to get the rest: interpreter, bcc, BTF, BPF, kprobes,
    lockdown, privileges, user namespaces, seccomp, and the modules that the commands look at. Nothing is loaded."""
    from kprobe_tool.probes import doctor

    items = doctor.items()
    rows = [vars(item) for item in items]
    hints = [f"{item.name}: {item.hint}" for item in items if item.hint and not item.name.startswith("module-")]
    emit(Document("doctor", host.identity(), [Table(COLUMNS, rows)], summary=hints), output)
    return ExitCode.OK
