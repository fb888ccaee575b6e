# SPDX-License-Identifier: GPL-2.0-or-later
"""A run of checks, counted: what every format of ``audit`` is made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kprobe_tool.checks import Check, Finding, Root, Severity, Status
from kprobe_tool.commands.findings import FailOn, exit_code, finding_row
from kprobe_tool.errors import ExitCode
from kprobe_tool.report.document import Document, Row, Table

if TYPE_CHECKING:
    from kprobe_tool.commands.audit.baseline import Baseline, StatusChange
    from kprobe_tool.commands.audit.waivers import Waiver

WAIVED = "waived"
BUCKETS = (*(status.value for status in Status), WAIVED)
"""What a finding is counted as: its status, or, where a waiver covers an affected or unknown one, only ``waived``."""


class AuditedCheck(NamedTuple):
    """A check, what it found, and the decision to live with it, if there is one."""

    check: Check
    finding: Finding
    waiver: Waiver | None = None

    @property
    def bucket(self) -> str:
        status = self.finding.status
        return WAIVED if self.waiver and status in {Status.AFFECTED, Status.UNKNOWN} else status.value

    def row(self) -> Row:
        waived = self.waiver.as_dict() if self.waiver and self.bucket == WAIVED else None
        return finding_row(self.check, self.finding, waived)


def count(results: Iterable[AuditedCheck]) -> dict[str, int]:
    """How many findings are in each bucket; the empty ones are there too, so that an unknown cannot be overlooked."""
    counts = Counter(each.bucket for each in results)
    return {bucket: counts[bucket] for bucket in BUCKETS}


class AuditRun(NamedTuple):
    """``left_out`` are the checks that were not run, ``root`` is whether this was root, ``expired`` the waivers that
    are not heeded any more, ``seconds`` how long it took."""

    host: Mapping[str, object]
    results: Sequence[AuditedCheck]
    left_out: Sequence[str]
    root: bool
    baseline: Baseline | None
    expired: Sequence[Waiver] = ()
    seconds: float = 0.0

    def findings_that_count(self) -> list[tuple[Check, Finding]]:
        return [(each.check, each.finding) for each in self.results if each.bucket != WAIVED]

    def with_bucket(self, bucket: str) -> list[AuditedCheck]:
        return [each for each in self.results if each.bucket == bucket]

    def systems(self) -> dict[str, dict[str, int]]:
        """The counts of each system, in the order of the checks."""
        names = dict.fromkeys(each.check.system for each in self.results)
        return {name: count(each for each in self.results if each.check.system == name) for name in names}

    def root_may_settle(self) -> list[str]:
        """The checks that are unknown, and that root may tell more of."""
        if self.root:
            return []
        return [
            each.check.id
            for each in self.results
            if each.finding.status is Status.UNKNOWN and each.check.needs.root is not Root.NEVER
        ]

    def changes(self) -> list[StatusChange]:
        if self.baseline is None:
            return []
        now = {each.check.id: each.finding.status.value for each in self.results}
        return self.baseline.compare(now, self.left_out)

    def exit_code(self, fail_on: FailOn) -> ExitCode:
        if fail_on is FailOn.CHANGED:
            return ExitCode.FOUND if self.changes() else ExitCode.OK
        return exit_code(self.findings_that_count(), fail_on)

    def count_applicable(self) -> int:
        """How many of the checks had something to ask."""
        return sum(each.finding.status is not Status.NOT_APPLICABLE for each in self.results)

    def one_line(self) -> str:
        """The verdict on the whole, in a line."""
        affected = Counter(each.check.severity for each in self.with_bucket(Status.AFFECTED.value))
        unknown = len(self.with_bucket(Status.UNKNOWN.value))
        found = [f"{affected[severity]} {severity.value}" for severity in Severity if affected[severity]]
        if found:
            text = f"AFFECTED, {', '.join(found)}"
            text += f", {unknown} unknown" if unknown else ""
        else:
            text = f"could not tell, {unknown} unknown" if unknown else "nothing found"
        number = len(self.results)
        return f"{text}. {self.count_applicable()} of {number} {'check' if number == 1 else 'checks'} applied"

    def warnings(self) -> list[str]:
        found = [
            f"the waiver of '{waiver.id}' expired on {waiver.until}, and its finding counts again; "
            "decide anew: give it another date, or remove it"
            for waiver in self.expired
        ]
        if self.baseline is not None and self.baseline.hostname != self.host["hostname"]:
            found.append(f"the baseline is of another host, '{self.baseline.hostname}'")
        return found

    def document(self) -> Document:
        """What scripts read."""
        more: dict[str, object] = {
            "summary": {
                "counts": count(self.results),
                "systems": self.systems(),
                "left_out": list(self.left_out),
                "root": self.root,
                "root_may_settle": self.root_may_settle(),
            },
            "baseline": None if self.baseline is None else self.baseline.as_dict(self.changes()),
        }
        rows = [each.row() for each in self.results]
        return Document("audit", self.host, [Table((), rows)], more=more, warnings=self.warnings())
