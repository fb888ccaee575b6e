# SPDX-License-Identifier: GPL-2.0-or-later
"""A diagnosis of the verifier, for people and as a JSON object."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from kprobe_tool.probes.verifier.diagnosis import CauseClass, Diagnosis, Line, PathEvent, Place, Truncation
from kprobe_tool.report.document import Annotation, Row, Span
from kprobe_tool.report.text import quantity
from kprobe_tool.report.text import width as terminal_width

WIDTH = 100
"""Columns, where the output is no terminal."""
WIDTH_MAX = 160
"""Columns beyond which lines are hard to read."""
OTHERS_MAX = 8
"""Further diagnoses that are drawn."""
DETAILS_MAX = 4
PATH_FIRST, PATH_LAST = 4, 12
"""Steps of a path that are drawn: what began it, and what led to the error."""
TEXT_MAX = 4096
CAUSES = {
    CauseClass.SOURCE: "the program's source",
    CauseClass.COMPILER: "the compiler or its options",
    CauseClass.ENVIRONMENT: "where it is loaded: kernel, configuration, type of program, privileges or loader",
    CauseClass.VERIFIER_LIMIT: "a limit of the verifier; the program may be right",
    CauseClass.VERIFIER_FALSE_POSITIVE: "this kernel's verifier; the program is right",
}
"""Whose fault it is, in words."""
COLOURS = {"lost-bound": "magenta", "invalidated": "magenta", "acquired": "yellow", "branch": "blue", "note": "cyan"}


def width() -> int:
    """Columns to use: those of the terminal, or WIDTH where there is none."""
    return max(40, min(WIDTH_MAX, terminal_width() or WIDTH))


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


def event_row(event: PathEvent) -> Row:
    return {"kind": event.kind, "message": event.message, "place": place_row(event.place)}


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
        "lock": [event_row(event) for event in diagnosis.lock],
        "path": [event_row(event) for event in diagnosis.path],
        "suggestion": diagnosis.suggestion,
        "errno": diagnosis.errno,
        "truncated": None if diagnosis.truncated is None else truncation_row(diagnosis.truncated),
        "program": diagnosis.program,
        "rule": diagnosis.rule,
        "cause_class": diagnosis.cause_class.value,
        "evidence": diagnosis.evidence,
        "notes": list(diagnosis.notes),
    }


def diagnosis_rows(diagnosis: Diagnosis) -> list[Row]:
    """The JSON objects of a diagnosis and of the others in the same log."""
    return [diagnosis_row(each) for each in (diagnosis, *diagnosis.others)]


def source_annotations(diagnosis: Diagnosis) -> list[Annotation]:
    """What a code host shows at the line where a program was rejected."""
    return [
        Annotation(
            level="error",
            rule=each.rule or "bpf-verifier",
            title=f"BPF verifier: {each.problem or 'rejected'}",
            text="\n".join(
                filter(None, (each.message, each.reason, each.suggestion, describe_place(each.place, each.program)))
            ),
            file=each.place.file,
            line=each.place.line,
            column=each.place.column,
        )
        for each in (diagnosis, *diagnosis.others)
        if each.outcome == "rejected"
    ]


def picture(diagnosis: Diagnosis, *, whole: bool = False) -> Iterator[list[Span]]:
    """A log's diagnoses as compilers show errors, in lines as wide as the terminal.

    Long paths and further diagnoses are shortened, unless ``whole``.
    """
    yield from draw(diagnosis, whole)
    shown = len(diagnosis.others) if whole else OTHERS_MAX
    for other in diagnosis.others[:shown]:
        yield []
        yield from draw(other, whole)
    left = len(diagnosis.others) - shown
    if left > 0:
        yield []
        yield from wrap_labelled("note", f"{left} further diagnoses of this log are left out here; -o wide has them")


def draw(diagnosis: Diagnosis, whole: bool) -> Iterator[list[Span]]:
    """One diagnosis: what, where, why, how it came to this, what to do."""
    yield from title(diagnosis)
    if diagnosis.place.insn is not None or diagnosis.place.file is not None:
        yield [Span("  --> ", "blue", True), Span(describe_place(diagnosis.place, diagnosis.program))]
    here = "rejected here" if diagnosis.outcome == "rejected" else "the last instruction that is shown"
    yield from excerpt(diagnosis.place, diagnosis.label or diagnosis.problem or here, "red")
    if diagnosis.message is not None:
        for text in (*diagnosis.details[:DETAILS_MAX], diagnosis.message):
            yield from wrap_labelled("kernel", text)
    if diagnosis.recognised:
        yield from wrap_labelled("reason", diagnosis.reason)
    for event in diagnosis.lock:
        yield []
        yield from event_lines("active lock", event)
    if diagnosis.path:
        yield []
        yield [Span("How it came to this:", bold=True)]
        left = 0 if whole else max(0, len(diagnosis.path) - PATH_FIRST - PATH_LAST)
        for number, event in enumerate(diagnosis.path, 1):
            if not PATH_FIRST < number <= PATH_FIRST + left:
                yield from event_lines(f"{number:>3}. {event.kind}", event)
            elif number == PATH_FIRST + left:
                yield from wrap_labelled("note", f"{quantity(left, 'step')} left out here; -o wide has all")
        yield []
    for note in diagnosis.notes:
        yield from wrap_labelled("note", note)
    if diagnosis.truncated is not None:
        yield from wrap_labelled(
            "truncated", f"the {diagnosis.truncated.lost} of the log is lost. {diagnosis.truncated.advice}"
        )
    if diagnosis.cause_class is not CauseClass.UNKNOWN:
        yield from wrap_labelled(
            "cause", CAUSES[diagnosis.cause_class] + (f" ({diagnosis.evidence})" if diagnosis.evidence else "")
        )
    if diagnosis.suggestion is not None:
        yield from wrap_labelled("help", diagnosis.suggestion, "green")


def title(diagnosis: Diagnosis) -> Iterator[list[Span]]:
    """The first line."""
    if diagnosis.outcome == "accepted":
        yield [Span("accepted", "green", True), Span(f": {diagnosis.reason}", bold=True)]
        return
    if not diagnosis.recognised or diagnosis.category is None:
        yield from wrap_labelled("error", diagnosis.reason, "red")
        return
    text = f": {diagnosis.problem}" if diagnosis.problem else ""
    yield [Span(f"error[{diagnosis.category}]", "red", True), Span(text, bold=True)]


def describe_place(place: Place, program: str | None = None) -> str:
    """``prog.c:12:3, function f, instruction 7 of program p``"""
    parts = []
    if place.file is not None:
        parts.append(":".join(str(each) for each in (place.file, place.line, place.column) if each is not None))
    if place.function is not None:
        parts.append(f"function {place.function}")
    if place.insn is not None:
        parts.append(f"instruction {place.insn}" + (f" of program {program}" if program is not None else ""))
    return ", ".join(parts)


def excerpt(place: Place, label: str, colour: str) -> Iterator[list[Span]]:
    """The source and the instructions around a place, with a caret and the label below the place's own line."""
    source, instructions = contexts(place)
    if source:
        yield from numbered_lines(source, place.line, label, colour, place.caret)
        label = ""
    yield from numbered_lines(instructions, place.insn, label, colour, None)


def contexts(place: Place) -> tuple[Sequence[Line], Sequence[Line]]:
    """(lines of source, instructions) to show for a place: those around it, or at least its own."""
    source = place.source_context or ((Line(place.line, place.source),) if place.source else ())
    own = (Line(place.insn, place.instruction),) if place.instruction is not None else ()
    return source, place.instruction_context or own


def numbered_lines(
    lines: Sequence[Line], marked: int | None, label: str, colour: str, caret: int | None
) -> Iterator[list[Span]]:
    """Numbered lines; the marked one with a caret below it, where there is a label."""
    if not lines:
        return
    gutter = max(5, *(len(str(line.number or "")) for line in lines))
    yield [Span(f"{'':>{gutter}} |", "blue")]
    for line in lines:
        here = line.number == marked
        text = shorten(line.text.expandtabs(8), width() - gutter - 3)
        number = "" if line.number is None else str(line.number)
        yield [Span(f"{number:>{gutter}} | ", "blue", here), Span(text, bold=here)]
        if here and label:
            blank = len(line.text.expandtabs(8)) - len(line.text.expandtabs(8).lstrip())
            indent = min(blank if caret is None else caret, width() // 2)
            first, *others = wrap(label, width() - gutter - 5 - indent)
            yield [Span(f"{'':>{gutter}} | ", "blue"), Span(f"{'':{indent}}^ {first}", colour, True)]
            for other in others:
                yield [Span(f"{'':>{gutter}} | ", "blue"), Span(f"{'':{indent}}  {other}", colour, True)]


def event_lines(head: str, event: PathEvent) -> Iterator[list[Span]]:
    """One event: what happened, and below it where."""
    colour = COLOURS.get(event.kind, "cyan")
    first, *others = wrap(event.message, width() - 20)
    yield [Span(f"{head:<18}", colour, True), Span(f"  {first}")]
    for other in others:
        yield [Span(f"{'':20}{other}")]
    place = describe_place(event.place)
    if place:
        text = event.place.source or event.place.instruction or ""
        yield [Span(shorten(f"{'':20}{place}: {text}", width()), "bright_black")]


def wrap_labelled(label: str, text: str, colour: str = "cyan") -> Iterator[list[Span]]:
    """``label: text``, further lines indented below the text."""
    first, *others = wrap(text, width() - len(label) - 2)
    yield [Span(label, colour, True), Span(f": {first}")]
    for other in others:
        yield [Span(f"{'':{len(label) + 2}}{other}")]


def wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text[:TEXT_MAX], max(20, width), break_on_hyphens=False) or [""]


def shorten(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."
