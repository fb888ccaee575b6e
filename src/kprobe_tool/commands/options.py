# SPDX-License-Identifier: GPL-2.0-or-later
"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from kprobe_tool.checks import Finding, Status
from kprobe_tool.errors import ExitCode
from kprobe_tool.report.output import Output

F = TypeVar("F", bound=Callable[..., Any])


def output_option(*formats: Output) -> Callable[[F], F]:
    """``-o``: all formats, or only the given ones."""

    def convert(ctx: click.Context, param: click.Parameter, value: str) -> Output:
        return Output(value)

    return click.option(
        "-o",
        "--output",
        type=click.Choice([output.value for output in formats or Output]),
        default=Output.TABLE.value,
        callback=convert,
        help="Output format.",
        show_default=True,
    )


fail_on_option = click.option(
    "--fail-on",
    type=click.Choice(["affected", "unknown", "never"]),
    default="affected",
    show_default=True,
    help="Exit 1 where a check is affected; 'unknown' also exits 3 where one could not tell.",
)


def verdict_exit(findings: Sequence[Finding], fail_on: str) -> ExitCode:
    """The exit code of a run of checks under ``--fail-on``."""
    statuses = {finding.status for finding in findings}
    if fail_on == "never":
        return ExitCode.OK
    if Status.AFFECTED in statuses:
        return ExitCode.FOUND
    if fail_on == "unknown" and Status.UNKNOWN in statuses:
        return ExitCode.CANNOT_TELL
    return ExitCode.OK


STATUS_COLOURS = {
    Status.OK: "green",
    Status.AFFECTED: "red",
    Status.UNKNOWN: "yellow",
}


def status_colour(value: object) -> str | None:
    return STATUS_COLOURS.get(Status(str(value)))
