# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool fleet``: the audits of many hosts as one."""

from __future__ import annotations

import click

from kprobe_tool.checks import Status
from kprobe_tool.commands.findings import COUNTED, FailOn, fail_on_option
from kprobe_tool.commands.fleet.merge import Fleet, merge
from kprobe_tool.commands.options import output_option
from kprobe_tool.errors import ExitCode
from kprobe_tool.lazy import examples
from kprobe_tool.probes import host
from kprobe_tool.report.document import Document, Table
from kprobe_tool.report.output import Output, emit


@click.command(
    short_help="Merge the audits of many hosts into one.",
    epilog=examples("kprobe-tool fleet web1.json web2.json", "kprobe-tool fleet audits/ -o json"),
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@output_option()
@fail_on_option(
    FailOn.MEDIUM,
    text="Exit 1 where a check of this severity or more is affected on a host; with 'unknown' 3 where one could not "
    "tell.",
)
def command(*, files: tuple[str, ...], output: Output, fail_on: FailOn) -> ExitCode:
    """Merge the audits of many hosts into one.

    FILE is what 'kprobe-tool audit -o json' wrote on a host, or a directory with such files, whose names end in
    .json. Of several reports of one host the newest counts. Hosts of one kernel that disagree are shown apart. What
    cannot be read is named and left out, and the exit code is 3 unless something was found.
    """
    fleet = merge(files)
    emit(document_of(fleet, output), output)
    return exit_code(fleet, fail_on) if fleet.reports else ExitCode.CANNOT_RUN


def exit_code(fleet: Fleet, fail_on: FailOn) -> ExitCode:
    counted = COUNTED.get(fail_on, set())
    if any(report.count_affected(severity) for report in fleet.reports for severity in counted):
        return ExitCode.FOUND
    unknown = any(Status.UNKNOWN.value in report.buckets.values() for report in fleet.reports)
    if fleet.errors or (fail_on is FailOn.UNKNOWN and unknown):
        return ExitCode.CANNOT_TELL
    return ExitCode.OK


def document_of(fleet: Fleet, output: Output) -> Document:
    if output.for_people:
        from kprobe_tool.commands.fleet.picture import heading, result, tables

        return Document(
            "fleet",
            host.identity(),
            list(tables(fleet, everything=output is Output.WIDE)),
            errors=fleet.errors,
            summary=[result(fleet)],
            heading=heading(fleet),
        )
    from kprobe_tool.commands.fleet.rows import check_rows, host_row, outlier_row

    return Document(
        "fleet",
        host.identity(),
        [Table((), [host_row(report) for report in fleet.reports])],
        errors=fleet.errors,
        more={
            "checks": check_rows(fleet),
            "outliers": [outlier_row(outlier) for outlier in fleet.outliers()],
        },
    )
