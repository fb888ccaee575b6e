# SPDX-License-Identifier: GPL-2.0-or-later
"""``fleet`` for people: how many hosts each check found something on, who differs, and whom to look at first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from kprobe_tool.checks import Severity, Status
from kprobe_tool.commands.audit.run import WAIVED
from kprobe_tool.commands.fleet.merge import Fleet, HostReport, Outlier
from kprobe_tool.report.document import Column, Row, Table
from kprobe_tool.report.text import quantity

NAMED = 5
"""How many of the hosts that disagree with others are named; the rest are counted."""


def colour_of_more_than_none(colour: str) -> Callable[[object], str | None]:
    return lambda number: colour if number else None


CHECK_COLUMNS = (
    Column("CHECK", "id"),
    Column("SEVERITY", "severity"),
    Column("AFFECTED", Status.AFFECTED.value, right=True, colour=colour_of_more_than_none("red")),
    Column("UNKNOWN", Status.UNKNOWN.value, right=True, colour=colour_of_more_than_none("yellow")),
    Column("WAIVED", WAIVED, right=True),
    Column("OK", Status.OK.value, right=True),
    Column("N/A", Status.NOT_APPLICABLE.value, right=True),
)
OUTLIER_COLUMNS = (
    Column("CHECK", "id"),
    Column("KERNEL", "release"),
    Column("MOST HOSTS", "usual"),
    Column("OTHERS", "others", wrap=True),
)
HOST_COLUMNS = (
    Column("HOST", "hostname"),
    Column("KERNEL", "release"),
    Column("ASKED", "time"),
    *(Column(severity.value.upper(), severity.value, right=True) for severity in Severity),
    Column("UNKNOWN", "unknown", right=True),
    Column("AFFECTED BY", "affected", wrap=True),
)


def tables(fleet: Fleet, *, everything: bool) -> Iterator[Table]:
    severities = fleet.severities()
    checks = [
        {"id": check, "severity": severities[check].value, **counts}
        for check, counts in fleet.counts().items()
        if everything or counts[Status.NOT_APPLICABLE.value] < sum(counts.values())
    ]
    yield Table(CHECK_COLUMNS, checks, empty="no check applied to any host")
    if outliers := [outlier_row(outlier) for outlier in fleet.outliers()]:
        yield Table(OUTLIER_COLUMNS, outliers, title="Hosts of one kernel that disagree")
    hosts = [report for report in sorted(fleet.reports, key=rank) if everything or is_worth_a_look(report)]
    if hosts:
        yield Table(HOST_COLUMNS, [host_row(report) for report in hosts], title="Hosts")


def outlier_row(outlier: Outlier) -> Row:
    by_status: dict[str, list[str]] = {}
    for name, status in outlier.others.items():
        by_status.setdefault(status, []).append(name)
    return {
        "id": outlier.check,
        "release": outlier.release,
        "usual": f"{outlier.usual} ({outlier.agreeing})",
        "others": "; ".join(f"{status}: {name_some(names)}" for status, names in by_status.items()),
    }


def name_some(names: Sequence[str]) -> str:
    """``web1, web2 and 3 more``."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def is_worth_a_look(report: HostReport) -> bool:
    return not {Status.AFFECTED.value, Status.UNKNOWN.value}.isdisjoint(report.buckets.values())


def rank(report: HostReport) -> tuple[int, ...]:
    """The worst first."""
    return (*(-report.count_affected(severity) for severity in Severity), -count_unknown(report))


def count_unknown(report: HostReport) -> int:
    return len(report.with_bucket(Status.UNKNOWN.value))


def host_row(report: HostReport) -> Row:
    return {
        "hostname": report.hostname,
        "release": report.release,
        "time": report.time,
        **{severity.value: report.count_affected(severity) for severity in Severity},
        "unknown": count_unknown(report),
        "affected": ", ".join(report.with_bucket(Status.AFFECTED.value)),
    }


def heading(fleet: Fleet) -> str:
    kernels = len({report.kernel for report in fleet.reports})
    times = sorted(report.time for report in fleet.reports)
    when = ""
    if times:
        when = f", asked at {times[0]}" if times[0] == times[-1] else f", asked between {times[0]} and {times[-1]}"
    return f"{quantity(len(fleet.reports), 'host')}, {quantity(kernels, 'kernel')}{when}"


def result(fleet: Fleet) -> str:
    """``RESULT: 3 of 40 hosts affected, by the worst of each: 1 high, 2 low. 2 reports left out.``"""
    # Members of Severity are the worst first.
    found = ([severity for severity in Severity if report.count_affected(severity)] for report in fleet.reports)
    worst = Counter(severities[0] for severities in found if severities)
    hosts = quantity(len(fleet.reports), "host")
    if worst:
        parts = [f"{worst[severity]} {severity.value}" for severity in Severity if worst[severity]]
        text = f"RESULT: {worst.total()} of {hosts} affected, by the worst of each: {', '.join(parts)}."
    else:
        text = f"RESULT: nothing found on {hosts}."
    if undecided := sum(count_unknown(report) > 0 for report in fleet.reports):
        text += f" On {undecided} a check could not tell."
    if fleet.errors:
        text += f" {quantity(len(fleet.errors), 'report')} left out."
    return text
