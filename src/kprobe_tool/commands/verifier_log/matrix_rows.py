# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``verifier-log matrix`` found, as JSON objects and for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kprobe_tool.report.document import Annotation, Column, Row, Table
from kprobe_tool.report.text import quantity

if TYPE_CHECKING:
    from kprobe_tool.probes.verifier.floor.judge import ProgramFloor
    from kprobe_tool.probes.verifier.matrix.ask import KernelAnswers
    from kprobe_tool.probes.verifier.matrix.judge import BaselineDifference, Cell, Change

FAULTS = {
    "source": "the program's source",
    "compiler": "the compiler or its options",
    "environment": "the kernel or what it is asked for",
    "verifier_limit": "a limit of the verifier",
    "verifier_false_positive": "this kernel's verifier",
    "unknown": "not known",
}
"""Whose fault a rejection is, in the words of a table."""
COLOURS = {"accepted": "green", "rejected": "red", "not-loaded": "red"}


def kernel_row(answer: KernelAnswers) -> Row:
    """The JSON object of one kernel."""
    return {
        "kernel": answer.kernel,
        "release": answer.release,
        "kvm": answer.kvm,
        "seconds": None if answer.seconds is None else round(answer.seconds, 1),
        "failure": answer.failure,
    }


def cell_row(cell: Cell, floor: ProgramFloor | None) -> Row:
    """The JSON object of one program on one kernel."""
    return {
        "program": cell.program,
        "kernel": cell.kernel,
        "release": cell.release,
        "outcome": cell.outcome.value,
        "errno": cell.errno,
        "insns_processed": cell.insns,
        "cause_class": None if cell.cause is None else cell.cause.value,
        "evidence": cell.evidence,
        "reason": cell.reason,
        "diagnosis": cell.diagnosis,
        "floor": None if floor is None else floor.load.release,
    }


def change_row(change: Change) -> Row:
    return {
        "program": change.program,
        "before": change.before.release,
        "now": change.now.release,
        "outcome": change.now.outcome.value,
    }


def difference_row(each: BaselineDifference) -> Row:
    return {
        "program": each.program,
        "kernel": each.kernel,
        "change": each.kind,
        "before": dict(each.before),
        "now": dict(each.now),
    }


def table(found: Sequence[Cell]) -> Table:
    """A row for each program, a column for each kernel, the oldest first: accepted, or rejected and whose fault."""
    kernels = list(dict.fromkeys((cell.release, cell.kernel) for cell in sorted(found, key=kernel_order)))
    rows: dict[str, dict[str, object]] = {}
    for cell in found:
        rows.setdefault(cell.program, {"program": cell.program})[f"{cell.release} {cell.kernel}"] = outcome_text(cell)

    def cell_of(key: str) -> Callable[[Row], object]:
        return lambda row: row.get(key)

    def colour(value: object) -> str | None:
        return COLOURS.get(str(value).partition(" ")[0].rstrip(":"))

    columns = [Column("PROGRAM", "program")]
    columns += [Column(release, cell_of(f"{release} {kernel}"), colour=colour) for release, kernel in kernels]
    return Table(columns, list(rows.values()))


def kernel_order(cell: Cell) -> tuple[tuple[int, ...], str]:
    from kprobe_tool.probes.verifier.matrix.judge import age

    return age(cell.release), cell.kernel


def outcome_text(cell: Cell) -> str:
    if cell.accepted:
        return "accepted" if cell.insns is None else f"accepted ({cell.insns} insns)"
    cause = cell.cause.value if cell.cause is not None else "unknown"
    return cell.outcome.value if cause == "unknown" else f"{cell.outcome.value}: {cause}"


def aside_tables(found: Sequence[Cell], differences: Sequence[BaselineDifference] | None) -> list[Table]:
    """Two further tables: why programs were not accepted, and what has changed since the baseline."""
    shown = []
    columns: tuple[Column, ...]
    if any(not cell.accepted for cell in found):
        columns = (
            Column("PROGRAM", "program"),
            Column("KERNEL", "release"),
            Column("WHOSE-FAULT", "whose"),
            Column("WHY", "why", wrap=True),
        )
        shown.append(Table(columns, [refusal(cell) for cell in found if not cell.accepted], title="not accepted"))
    if differences is not None:
        columns = (
            Column("PROGRAM", "program"),
            Column("KERNEL", "kernel"),
            Column("CHANGE", "change"),
            Column("INSNS-BEFORE", "before", right=True),
            Column("INSNS-NOW", "now", right=True),
        )
        rows = [
            {**difference_row(each), "before": each.before["insns_processed"], "now": each.now["insns_processed"]}
            for each in differences
        ]
        shown.append(Table(columns, rows, title="since the baseline", empty="nothing has changed"))
    return shown


def refusal(cell: Cell) -> Row:
    why = " ".join(filter(None, (cell.reason or cell.errno, cell.evidence and f"({cell.evidence})")))
    return {
        "program": cell.program,
        "release": cell.release,
        "whose": FAULTS[cell.cause.value if cell.cause is not None else "unknown"],
        "why": why,
    }


def summary(changes: Sequence[Change], found: Sequence[Cell]) -> list[str]:
    """Between which releases an outcome changed, and how many loads were accepted."""
    lines = [
        f"{change.program}: {change.before.outcome.value} by {change.before.release}, "
        f"{change.now.outcome.value} by {change.now.release}"
        for change in changes
    ]
    accepted = sum(cell.accepted for cell in found)
    programs = len({cell.program for cell in found})
    kernels = len({(cell.release, cell.kernel) for cell in found})
    asked = f"{quantity(programs, 'program')} on {quantity(kernels, 'kernel')}"
    return [*lines, f"{asked}: {accepted} of {quantity(len(found), 'load')} accepted"]


def rejection_annotations(found: Sequence[Cell], path: str) -> list[Annotation]:
    """What a code host shows at the line where a program was rejected, or at the file."""
    shown = []
    for cell in found:
        if cell.accepted:
            continue
        diagnosis = cell.diagnosis
        where = diagnosis["place"] if diagnosis is not None else {"file": None, "line": None, "column": None}
        suggestion = diagnosis["suggestion"] if diagnosis is not None else None
        parts = (cell.reason or cell.errno, cell.evidence, suggestion)
        shown.append(
            Annotation(
                level="error",
                rule=(diagnosis["rule"] if diagnosis is not None else None) or "bpf-verifier",
                title=f"BPF on Linux {cell.release}: {cell.program} {cell.outcome.value}",
                text="\n".join(filter(None, parts)),
                file=where["file"] or path,
                line=where["line"],
                column=where["column"],
            )
        )
    return shown
