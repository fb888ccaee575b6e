# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool explain``: what a check is about, from its row in the table."""

from __future__ import annotations

import click

from kprobe_tool.checks import Check
from kprobe_tool.commands.check_rows import check_row
from kprobe_tool.commands.completion import check_names, complete
from kprobe_tool.commands.options import output_option
from kprobe_tool.errors import ExitCode
from kprobe_tool.lazy import examples
from kprobe_tool.probes import host
from kprobe_tool.report.document import Column, Document, Row, Table
from kprobe_tool.report.output import Output, emit

COLUMNS = (Column("", "name"), Column("", "text", wrap=True))


@click.command(
    short_help="Say what a check means, what shows it, and what to do about it.",
    epilog=examples(
        "kprobe-tool explain rds-bind-netns",
        "kprobe-tool explain nvme",
    ),
)
@click.argument("names", metavar="NAME...", nargs=-1, shell_complete=complete(check_names, several=True))
@click.option("--all", "everything", is_flag=True, help="All checks.")
@output_option()
def command(*, names: tuple[str, ...], everything: bool, output: Output) -> ExitCode:
    """Say what it means that a check is affected, what to look for in its evidence, what to do about it, and where
    to read more. NAME is a check, a system such as rds, or a CVE number. No check is run.
    """
    from kprobe_tool.probes.selection import select

    if bool(names) == everything:
        raise click.UsageError("which check? Its id, a system or a CVE number, or else --all")
    checks = select(names, (), everything=everything)
    if output.for_people:
        tables = [Table(COLUMNS, paragraphs(check), title=check.id) for check in checks]
    else:
        tables = [Table((), [check_row(check) for check in checks])]
    emit(Document("explain", host.identity(), tables), output)
    return ExitCode.OK


def paragraphs(check: Check) -> list[Row]:
    """What people read of a check."""
    texts = [
        ("title", check.title),
        ("severity", f"{check.severity.value}, where a host is affected"),
        ("meaning", check.meaning),
        ("evidence", check.look_for),
        ("what to do", check.remedy),
        ("needs", str(check.needs)),
        ("root", check.needs.root.value),
        *(("reference", reference) for reference in check.references),
    ]
    return [{"name": name, "text": text} for name, text in texts]
