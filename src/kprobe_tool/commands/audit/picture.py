# SPDX-License-Identifier: GPL-2.0-or-later
"""``audit`` for people: a block for each finding, what was not found and why, and the verdict on the whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from kprobe_tool.checks import Severity, Status
from kprobe_tool.commands.audit.baseline import Baseline, StatusChange
from kprobe_tool.commands.audit.run import WAIVED, AuditedCheck, AuditRun
from kprobe_tool.commands.findings import FINDING_COLUMNS, STATUS_COLOURS, FailOn
from kprobe_tool.errors import ExitCode
from kprobe_tool.report.document import Column, Document, Row, Span, Table
from kprobe_tool.report.text import escape, wrap_text

Line = Sequence[Span]

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
ORDER = (Status.AFFECTED, Status.UNKNOWN, Status.OK, Status.NOT_APPLICABLE)
SYSTEMS = {"rds": "RDS", "nvme": "NVMe", "skmsg": "kTLS", "extensible-structs": "extensible structs"}
"""What people call the systems."""
INDENT = 8
"""Columns in front of the text of a block."""
RESULT = "RESULT: "
COUNTS = 14
"""Columns in front of what is counted."""
NAMED = 4
"""From this many on, checks that were not run are counted and not named."""


def for_people(audited: AuditRun, fail_on: FailOn, *, everything: bool, evidence: bool, quiet: bool) -> Document:
    """What was found and the counts, or with ``everything`` all verdicts; with ``quiet`` only what counts."""
    results = sorted(audited.results, key=rank)
    found = [each for each in results if each.bucket in {Status.AFFECTED, Status.UNKNOWN}]
    aside = [evidence_table(results)] if evidence else []
    changes = audited.changes()
    if audited.baseline is not None and (changes or not quiet):
        aside.append(changes_table(audited.baseline, changes))
    if quiet:
        return Document("audit", audited.host, [], aside=aside, picture=with_blank_lines(map(block, found)))
    lines = [*with_blank_lines(map(block, found)), *counts(audited)]
    return Document(
        "audit",
        audited.host,
        [Table(FINDING_COLUMNS, [each.row() for each in results])] if everything else [],
        aside=aside,
        picture=[*lines, (), *result_lines(audited, fail_on, everything=everything)],
        warnings=audited.warnings(),
        heading=heading(audited),
    )


def rank(each: AuditedCheck) -> tuple[int, int]:
    return ORDER.index(each.finding.status), list(Severity).index(each.check.severity)


def heading(audited: AuditRun) -> str:
    """Who was asked, by whom, when, and how much."""
    host = audited.host
    day, _, clock = str(host["time"]).partition("T")
    number = len(audited.results)
    return (
        f"{host['hostname']}  Linux {host['release']} {host['arch']}  {'root' if audited.root else 'not root'}  "
        f"{day} {clock[:5]} UTC  {number} {'check' if number == 1 else 'checks'}, {audited.seconds:.1f} s"
    )


def as_spans(lines: Iterable[str]) -> Iterator[Line]:
    return ((Span(line),) for line in lines)


def block(each: AuditedCheck) -> list[Line]:
    """A finding: how bad and what, what was seen, what to do."""
    check, finding = each.check, each.finding
    colour = STATUS_COLOURS[finding.status.value]
    found = finding.status is Status.AFFECTED
    if found:
        head: Line = (Span(f"{check.severity.value.upper():<6}  ", colour, bold=True), Span("affected", colour))
    else:
        head = (Span("?       ", colour, bold=True), Span("unknown", colour))
    advice = f"Do: {check.remedy}" if found else f"To settle it: {finding.settle}"
    # An error ends with its hint, which is what settles it: here that has a line of its own.
    reason = finding.reason.removesuffix(f"; {finding.settle}")
    return [
        (*head, Span(f"  {check.id}", bold=True)),
        *as_spans(wrap_text(reason, INDENT)),
        *as_spans(wrap_text(advice, INDENT)),
        *as_spans(wrap_text(f"More: kprobe-tool explain {check.id}", INDENT)),
    ]


def with_blank_lines(blocks: Iterable[list[Line]]) -> list[Line]:
    """Blocks with an empty line after each."""
    return [line for each in blocks for line in (*each, ())]


def counts(audited: AuditRun) -> Iterator[Line]:
    """How many of each verdict there are besides the findings, and of which systems."""
    ok = Counter(each.check.system for each in audited.with_bucket(Status.OK.value))
    systems = ", ".join(f"{system} {number}" for system, number in ok.items())
    yield from as_spans(wrap_text(systems, COUNTS, count_label("ok", sum(ok.values()))))
    absent = audited.with_bucket(Status.NOT_APPLICABLE.value)
    yield from as_spans(wrap_text(", ".join(absence_reasons(absent)), COUNTS, count_label("n/a", len(absent))))
    waived = audited.with_bucket(WAIVED)
    if waived:
        why = "; ".join(
            f"{each.check.id} ({each.finding.status.value}) until {each.waiver.until}: {each.waiver.reason}"
            for each in waived
            if each.waiver is not None
        )
        yield from as_spans(wrap_text(why, COUNTS, count_label("waived", len(waived))))
    unknown = audited.with_bucket(Status.UNKNOWN.value)
    settling = audited.root_may_settle()
    hint = f"this was not root, which may settle {len(settling)}" if settling else ""
    yield from as_spans(wrap_text(hint, COUNTS, count_label("unknown", len(unknown))))
    if audited.left_out:
        number = len(audited.left_out)
        names = ", ".join(audited.left_out) if number < NAMED else "left out by --only or --skip"
        yield from as_spans(wrap_text(names, COUNTS, count_label("not run", number)))


def count_label(what: str, number: int) -> str:
    return f"{what:<8}{number:>3}   "


def absence_reasons(results: Sequence[AuditedCheck]) -> Iterator[str]:
    """Each system whose checks do not apply, with how many they are and the beginning of the commonest reason."""
    reasons: dict[str, Counter[str]] = {}
    for each in results:
        first = each.finding.reason.partition(";")[0].partition(",")[0].rstrip(".")
        reasons.setdefault(each.check.system, Counter())[first] += 1
    for system, found in reasons.items():
        yield f"{system} {found.total()} ({found.most_common(1)[0][0]})"


def result_lines(audited: AuditRun, fail_on: FailOn, *, everything: bool) -> list[Line]:
    """The verdict on the whole, last."""
    counting = audited.exit_code(fail_on)
    affected = bool(audited.with_bucket(Status.AFFECTED.value))
    unknown = bool(audited.with_bucket(Status.UNKNOWN.value))
    colour = STATUS_COLOURS[(Status.AFFECTED if affected else Status.UNKNOWN if unknown else Status.OK).value]
    text = audited.one_line()
    *most, last = [SYSTEMS[system] for system in absent_systems(audited)] or [""]
    unused = f"{', '.join(most)} and {last} are" if most else f"{last} is"
    text += f" ({unused} not in use here)." if last else "."
    if (affected or unknown) and counting is ExitCode.OK:
        text += f" Exit code 0 by --fail-on {fail_on.value}."
    missing = audited.count_applicable() < len(audited.results) and not everything
    text += " --all lists them." if missing else ""
    first, *rest = wrap_text(text, len(RESULT), RESULT)
    return [
        (Span(RESULT, bold=True), Span(first.removeprefix(RESULT), colour)),
        *((Span(line, colour),) for line in rest),
    ]


def absent_systems(audited: AuditRun) -> list[str]:
    """The systems of which no check applies."""
    systems = dict.fromkeys(each.check.system for each in audited.results)
    there = {each.check.system for each in audited.results if each.finding.status is not Status.NOT_APPLICABLE}
    return [system for system in systems if system not in there]


def evidence_table(results: Sequence[AuditedCheck]) -> Table:
    """A row for each thing that was seen."""
    rows: list[Row] = [
        {"id": each.check.id, "evidence": {name: value}}
        for each in results
        for name, value in each.finding.evidence.items()
    ]
    return Table(EVIDENCE_COLUMNS, rows, title="Evidence")


def changes_table(baseline: Baseline, changes: Sequence[StatusChange]) -> Table:
    # From a file, so that it could be anything.
    title = escape(f"Since {baseline.time}, {baseline.hostname} {baseline.release}")
    return Table(CHANGE_COLUMNS, [each.as_dict() for each in changes], title=title, empty="no verdict has changed")
