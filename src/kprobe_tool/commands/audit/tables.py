# SPDX-License-Identifier: GPL-2.0-or-later
"""``audit`` for people: the verdicts, what was not told and why, and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kprobe_tool.checks import Status
from kprobe_tool.commands.audit.baseline import Baseline, Change
from kprobe_tool.commands.audit.tally import BUCKETS, WAIVED, Audited, count
from kprobe_tool.commands.verdicts import FINDING_COLUMNS
from kprobe_tool.report.document import Column, Document, Row, Table
from kprobe_tool.report.text import escape

ALL = "all"

SETTLE_COLUMNS = (
    Column("ID", "id"),
    Column("ROOT HELPS", "root"),
    Column("TO SETTLE IT", "settle", wrap=True),
)
ABSENT_COLUMNS = (
    Column("SYSTEM", "system"),
    Column("CHECKS", "checks", right=True),
    Column("WHY", "why", wrap=True),
)
WAIVER_COLUMNS = (
    Column("ID", "id"),
    Column("UNTIL", "until"),
    Column("WHY", "reason", wrap=True),
)
CHANGE_COLUMNS = (
    Column("CHANGE", "change"),
    Column("ID", "id"),
    Column("BEFORE", "before"),
    Column("NOW", "now"),
)
EVIDENCE_COLUMNS = (
    Column("ID", "id"),
    Column("EVIDENCE", "evidence", wrap=True),
)
COUNT_COLUMNS = (
    Column("SYSTEM", "system"),
    *(Column(bucket.upper(), bucket, right=True) for bucket in BUCKETS),
)


def for_people(audited: Audited, *, verbose: bool, quiet: bool) -> Document:
    """Everything, or with ``quiet`` only the verdicts that count."""
    if quiet:
        counting = [each for each in audited.verdicts if each.bucket in {Status.AFFECTED, Status.UNKNOWN}]
        tables = [Table(FINDING_COLUMNS, [each.row() for each in counting])] if counting else []
        return Document("audit", audited.host, tables)
    aside = [evidence(audited)] if verbose else []
    aside += [table for table in (waived(audited), unsettled(audited), not_told(audited)) if table.rows]
    if audited.baseline is not None:
        aside.append(changed(audited.baseline, audited.changes()))
    aside.append(counts(audited))
    settling = audited.root_may_settle()
    return Document(
        "audit",
        audited.host,
        [Table(FINDING_COLUMNS, [each.row() for each in audited.verdicts])],
        aside=aside,
        summary=[f"This was not root; root may settle {len(settling)} that are unknown."] if settling else [],
        warnings=audited.warnings(),
    )


def evidence(audited: Audited) -> Table:
    """A row for each thing that was seen."""
    rows: list[Row] = [
        {"id": each.check.id, "evidence": {name: value}}
        for each in audited.verdicts
        for name, value in each.finding.evidence.items()
    ]
    return Table(EVIDENCE_COLUMNS, rows, title="Evidence")


def waived(audited: Audited) -> Table:
    rows: list[Row] = [
        {"id": each.check.id, **each.waiver.as_dict()} for each in audited.with_bucket(WAIVED) if each.waiver
    ]
    return Table(WAIVER_COLUMNS, rows, title="Waived")


def unsettled(audited: Audited) -> Table:
    """The unknown, also where waived: what is missing is missing."""
    settling = audited.root_may_settle()
    rows: list[Row] = [
        {
            "id": each.check.id,
            "root": "maybe" if each.check.id in settling else "no",
            "settle": each.finding.settle,
        }
        for each in audited.verdicts
        if each.finding.status is Status.UNKNOWN
    ]
    return Table(SETTLE_COLUMNS, rows, title="Unknown")


def not_told(audited: Audited) -> Table:
    """What nothing was asked about, by system and reason."""
    reasons: dict[tuple[str, str], int] = {}
    for each in audited.verdicts:
        if each.finding.status is Status.NOT_APPLICABLE:
            key = (each.check.system, each.finding.reason)
            reasons[key] = reasons.get(key, 0) + 1
    rows: list[Row] = [{"system": system, "checks": number, "why": why} for (system, why), number in reasons.items()]
    if audited.left_out:
        rows.append({"system": None, "checks": len(audited.left_out), "why": "left out by --only or --skip"})
    return Table(ABSENT_COLUMNS, rows, title="Not checked")


def changed(baseline: Baseline, changes: Sequence[Change]) -> Table:
    # From a file, so that it could be anything.
    title = escape(f"Since {baseline.time}, {baseline.hostname} {baseline.release}")
    return Table(CHANGE_COLUMNS, [each.as_dict() for each in changes], title=title, empty="no verdict has changed")


def counts(audited: Audited) -> Table:
    systems: Mapping[str, Mapping[str, int]] = {**audited.systems(), ALL: count(audited.verdicts)}
    return Table(COUNT_COLUMNS, [{"system": name, **each} for name, each in systems.items()], title="Summary")
