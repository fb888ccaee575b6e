# SPDX-License-Identifier: GPL-2.0-or-later
"""A diagnosis of the verifier, for people and as a JSON object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kprobe_tool.report.document import Row

if TYPE_CHECKING:
    from kprobe_tool.probes.verifier.diagnosis import Diagnosis, Line, Place, Step, Truncation


def line_row(line: Line) -> Row:
    return {"number": line.number, "text": line.text}


def place_row(place: Place) -> Row:
    return {
        "insn": place.insn,
        "function": place.function,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "source": place.source,
        "instruction": place.instruction,
        "source_context": [line_row(line) for line in place.source_context],
        "instruction_context": [line_row(line) for line in place.instruction_context],
    }


def step_row(step: Step) -> Row:
    return {"kind": step.kind, "message": step.message, "place": place_row(step.place)}


def truncation_row(truncated: Truncation) -> Row:
    return {
        "lost": truncated.lost.value,
        "size": truncated.size,
        "needed": truncated.needed,
        "advice": truncated.advice,
    }


def diagnosis_row(diagnosis: Diagnosis) -> Row:
    """The JSON object of one diagnosis; the others of its log are rows of their own (diagnosis_rows)."""
    return {
        "outcome": diagnosis.outcome.value,
        "native": diagnosis.native,
        "recognised": diagnosis.recognised,
        "category": diagnosis.category,
        "problem": diagnosis.problem,
        "message": diagnosis.message,
        "details": list(diagnosis.details),
        "reason": diagnosis.reason,
        "place": place_row(diagnosis.place),
        "label": diagnosis.label,
        "lock": [step_row(step) for step in diagnosis.lock],
        "path": [step_row(step) for step in diagnosis.path],
        "suggestion": diagnosis.suggestion,
        "errno": diagnosis.errno,
        "truncated": None if diagnosis.truncated is None else truncation_row(diagnosis.truncated),
        "program": diagnosis.program,
        "rule": diagnosis.rule,
        "notes": list(diagnosis.notes),
    }


def diagnosis_rows(diagnosis: Diagnosis) -> list[Row]:
    """The cause first, then what else the log holds."""
    return [diagnosis_row(each) for each in (diagnosis, *diagnosis.others)]


def picture(diagnosis: Diagnosis) -> Iterator[str]:
    """The lines of one diagnosis, 100 columns wide, in the manner of a compiler's error."""
    yield f"{diagnosis.category or diagnosis.outcome}: {diagnosis.problem or diagnosis.reason}"
