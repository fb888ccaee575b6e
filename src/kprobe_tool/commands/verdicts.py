# SPDX-License-Identifier: GPL-2.0-or-later
"""How every command shows the verdicts of checks, and what it exits with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from kprobe_tool.checks import Check, Finding, Status
from kprobe_tool.errors import ExitCode
from kprobe_tool.report.document import Column, Row

F = TypeVar("F", bound=Callable[..., Any])

STATUS_COLOURS = {
    Status.OK: "green",
    Status.AFFECTED: "red",
    Status.UNKNOWN: "yellow",
}


def status_colour(value: object) -> str | None:
    return STATUS_COLOURS.get(Status(str(value)))


FINDING_COLUMNS = (
    Column("STATUS", "status", colour=status_colour),
    Column("ID", "id"),
    Column("SEVERITY", "severity", wide=True),
    Column("SYSTEM", "system", wide=True),
    Column("METHOD", "method", wide=True),
    Column("REASON", "reason", wrap=True),
    Column("TITLE", "title", wide=True),
    Column("REFERENCES", "references", wide=True),
)


def finding_row(check: Check, finding: Finding) -> Row:
    """The JSON object of one verdict."""
    return {
        "id": check.id,
        "title": check.title,
        "system": check.system,
        "severity": check.severity.value,
        "status": finding.status.value,
        "method": finding.method.value,
        "evidence": dict(finding.evidence),
        "reason": finding.reason,
        "settle": finding.settle,
        "references": list(check.references),
        "waived": False,
    }


def fail_on_option(default: str) -> Callable[[F], F]:
    """``--fail-on``, for commands that give verdicts."""
    return click.option(
        "--fail-on",
        type=click.Choice(["affected", "unknown", "never"]),
        default=default,
        show_default=True,
        help="Exit 1 where a check is affected; with 'unknown' exit 3 where one could not tell.",
    )


def exit_code(findings: Sequence[Finding], fail_on: str) -> ExitCode:
    """The exit code of a run of checks under ``--fail-on``."""
    statuses = {finding.status for finding in findings}
    if fail_on == "never":
        return ExitCode.OK
    if Status.AFFECTED in statuses:
        return ExitCode.FOUND
    if fail_on == "unknown" and Status.UNKNOWN in statuses:
        return ExitCode.CANNOT_TELL
    return ExitCode.OK
