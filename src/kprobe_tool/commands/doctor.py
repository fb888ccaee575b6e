# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool doctor``: which commands work on this host, and what it lets the tool do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from kprobe_tool.commands.options import output_option
from kprobe_tool.errors import ExitCode
from kprobe_tool.lazy import examples
from kprobe_tool.probes import host
from kprobe_tool.report.document import Column, Document, Row, Span, Table
from kprobe_tool.report.output import Output, emit
from kprobe_tool.report.text import wrap_text

if TYPE_CHECKING:
    from kprobe_tool.probes.doctor import CommandStatus, Item

WORKS_COLOURS = {"yes": "green", "partly": "yellow", "no": "yellow"}


def works_colour(value: object) -> str | None:
    return WORKS_COLOURS.get(str(value))


def available_colour(value: object) -> str | None:
    return {True: "green", False: "yellow"}.get(value) if isinstance(value, bool) else None


def choices(value: object) -> str:
    """What a command needs or wants, for people."""
    return ", ".join(" or ".join(choice) for choice in value) if isinstance(value, list) else ""


COMMAND_COLUMNS = (
    Column("COMMAND", "command"),
    Column("WORKS", "works", colour=works_colour),
    Column("MISSING", "reason", wrap=True),
    Column("NEEDS", lambda row: choices(row["needs"]), wide=True),
    Column("SAYS MORE WITH", lambda row: choices(row["wants"]), wide=True),
)
ITEM_COLUMNS = (
    Column("AVAILABLE", "available", colour=available_colour),
    Column("NAME", "name"),
    Column("DETAIL", "detail", wrap=True),
    Column("TO GET IT", "hint", wide=True),
)


def reason(status: CommandStatus) -> str | None:
    """What is missing, and which options do without."""
    if not status.missing:
        return None
    missing = "; ".join(f"{item.name} ({item.detail})" for item in status.missing)
    *more, last = status.elsewhere or ("",)
    options = f"{', '.join(more)} or {last}" if more else last
    return f"{missing}; works with {options}" if options else missing


def command_row(status: CommandStatus) -> Row:
    """The JSON object of one command."""
    return {
        "command": status.command.command,
        "works": status.works.value,
        "needs": [list(choice) for choice in status.command.needs],
        "wants": [list(choice) for choice in status.command.wants],
        "missing": [item.name for item in status.missing],
        "elsewhere": list(status.elsewhere),
        "reason": reason(status),
    }


def hints(statuses: Sequence[CommandStatus]) -> Iterator[Sequence[Span]]:
    """What would make more commands work, or work better; what is the same for several items is said once."""
    names: dict[str, dict[str, None]] = {}
    for status in statuses:
        for item in status.missing:
            if item.hint is not None:
                names.setdefault(item.hint, {})[item.name] = None
    for hint, found in names.items():
        yield from ((Span(line),) for line in wrap_text(f"For {', '.join(found)}: {hint}", 4, ""))


def document_of(items: Sequence[Item], output: Output) -> Document:
    """The document of what was found: for people the commands come first."""
    from kprobe_tool.probes import doctor

    by_name = {item.name: item for item in items}
    statuses = [doctor.status_of(each, by_name) for each in doctor.COMMANDS]
    commands = [command_row(status) for status in statuses]
    found = Table(ITEM_COLUMNS, [item._asdict() for item in items])
    return Document(
        "doctor",
        host.identity(),
        [Table(COMMAND_COLUMNS, commands), found] if output.for_people else [found],
        more={"commands": commands},
        picture=list(hints(statuses)),
    )


@click.command(
    short_help="Show which commands work on this host, and how to get the rest.",
    epilog=examples(
        "kprobe-tool doctor",
        "kprobe-tool doctor -o wide",
        "kprobe-tool doctor -o json",
    ),
)
@output_option()
def command(output: Output) -> ExitCode:
    """Show which commands work on this host, what each needs, and how to get what is missing.

    Each answer is found by trying: a program is compiled, loaded and attached for a moment to where nothing runs it.
    Nothing is loaded that stays, and no module.
    """
    from kprobe_tool.probes import doctor

    emit(document_of(doctor.items(), output), output)
    return ExitCode.OK
