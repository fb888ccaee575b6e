# SPDX-License-Identifier: GPL-2.0-or-later
"""How every command shows the verdicts of checks, and what it exits with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import click

from kprobe_tool.checks import Check, Finding, Severity, Status
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
        "remedy": check.remedy,
        "references": list(check.references),
        "waived": None if waived is None else dict(waived),
    }


class FailOn(StrEnum):
    """What a command's exit code tells of, each level more than the one before."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    UNKNOWN = "unknown"
    """An affected check, or else one that could not tell."""
    CHANGED = "changed"
    NEVER = "never"


COUNTED = {
    FailOn.HIGH: {Severity.HIGH},
    FailOn.MEDIUM: {Severity.HIGH, Severity.MEDIUM},
    FailOn.LOW: set(Severity),
    FailOn.UNKNOWN: set(Severity),
}
FAIL_ON_HELP = "Exit 1 where a check of this severity or more is affected; with 'unknown' 3 where one could not tell."


def fail_on_option(default: FailOn | None, *others: FailOn, text: str = FAIL_ON_HELP) -> Callable[[F], F]:
    """``--fail-on``, for commands that give verdicts. ``others`` are levels that only this command has."""

    def convert(ctx: click.Context, param: click.Parameter, value: str | None) -> FailOn | None:
        return None if value is None else FailOn(value)

    levels = [level.value for level in FailOn if level is not FailOn.CHANGED or level in others]
    return click.option(
        "--fail-on",
        type=click.Choice(levels),
        default=None if default is None else default.value,
        callback=convert,
        show_default=True,
        help=text,
    )


def exit_code(found: Iterable[tuple[Check, Finding]], fail_on: FailOn) -> ExitCode:
    """The exit code of a run of checks under ``--fail-on``; the findings are those that count."""
    findings = list(found)
    counted = COUNTED.get(fail_on, set())
    if any(finding.status is Status.AFFECTED and check.severity in counted for check, finding in findings):
        return ExitCode.FOUND
    if fail_on is FailOn.UNKNOWN and any(finding.status is Status.UNKNOWN for _, finding in findings):
        return ExitCode.CANNOT_TELL
    return ExitCode.OK
