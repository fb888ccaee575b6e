# SPDX-License-Identifier: GPL-2.0-or-later
"""How every command shows the verdicts of checks, and what it exits with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from kprobe_tool.checks import Check, Finding, Status
from kprobe_tool.errors import ExitCode
from kprobe_tool.report.document import Column, Row

F = TypeVar("F", bound=Callable[..., Any])

STATUS_COLOURS = {
    Status.OK.value: "green",
    Status.AFFECTED.value: "red",
    Status.UNKNOWN.value: "yellow",
}


def status_colour(value: object) -> str | None:
    return STATUS_COLOURS.get(str(value))


def status_text(row: Row) -> str:
    return f"{row['status']} (waived)" if row["waived"] else str(row["status"])


FINDING_COLUMNS = (
    Column("STATUS", status_text, colour=status_colour),
    Column("ID", "id"),
    Column("SEVERITY", "severity", wide=True),
    Column("SYSTEM", "system", wide=True),
    Column("METHOD", "method", wide=True),
    Column("REASON", "reason", wrap=True),
    Column("TITLE", "title", wide=True),
    Column("REFERENCES", "references", wide=True),
)


def finding_row(check: Check, finding: Finding, waived: Mapping[str, object] | None = None) -> Row:
    """The JSON object of one verdict; ``waived`` says why and until when it is not counted."""
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
        "waived": None if waived is None else dict(waived),
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


def exit_code(findings: Iterable[Finding], fail_on: str) -> ExitCode:
    """The exit code of a run of checks under ``--fail-on``; the findings are those that count."""
    statuses = {finding.status for finding in findings}
    if fail_on == "never":
        return ExitCode.OK
    if Status.AFFECTED in statuses:
        return ExitCode.FOUND
    if fail_on == "unknown" and Status.UNKNOWN in statuses:
        return ExitCode.CANNOT_TELL
    return ExitCode.OK
