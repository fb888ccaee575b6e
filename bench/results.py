# SPDX-License-Identifier: GPL-2.0-or-later
"""RESULTS.md: what was measured, beside what is to be reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .figures import Figure, Measurements
from .model import Case, Mark

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Result:
    """One case as it was measured on the kernel ``release``; ``trouble`` where it could not be."""

    case: Case
    release: str
    measurements: Measurements
    trouble: str = ""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table in Markdown; a bar in a cell is escaped."""
    for cells in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def show(value: Figure | None, unit: str = "") -> str:
    """Three digits are more than the measuring is good for."""
    if value is None:
        return NOT_MEASURED
    digits = f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
    return f"{digits} {unit}".rstrip()


def milliseconds(seconds: Figure | None) -> str:
    return show(None if seconds is None else seconds * 1000)


def is_met(mark: Mark, value: Figure) -> bool:
    return value >= mark.limit if mark.at_least else value <= mark.limit


def mark_row(result: Result, mark: Mark) -> list[str]:
    value = mark.figure(result.measurements)
    sign = "≥" if mark.at_least else "≤"
    met = NOT_MEASURED if value is None else "yes" if is_met(mark, value) else "**no**"
    reach = f"{sign} {show(mark.limit, mark.unit)}"
    return [str(result.case.row), result.case.work, mark.what, show(value, mark.unit), reach, met]


def missed_rows(results: Sequence[Result]) -> Iterator[list[str]]:
    """A line for each mark that was measured and is not met."""
    for result in results:
        for mark in result.case.marks:
            value = mark.figure(result.measurements)
            if value is not None and not is_met(mark, value):
                yield [*mark_row(result, mark)[:4], mark.why or "not looked into"]


def run_rows(result: Result) -> Iterator[list[str]]:
    """A line for each size and contender."""
    case, seen = result.case, result.measurements
    for size, name in seen.rows():
        what = f"{size} {case.unit}".strip() if case.unit else ""
        if (size, name) in seen.missing:
            yield [what, name, seen.missing[size, name], "", "", ""]
            continue
        memory = seen.memory(size, name)
        rounds = str(len(seen.runs[size, name]))
        yield [
            what,
            name,
            milliseconds(seen.cpu(size, name)),
            milliseconds(seen.wall(size, name)),
            "" if memory is None else show(memory / 1e6),
            rounds,
        ]


def page(results: Sequence[Result], about: Sequence[str]) -> str:
    """The whole file; ``about`` are lines on the machine, the kernel, the day."""
    lines = ["# What it costs, side by side", "", "Made by `make bench`; nothing here is asserted by a test.", ""]
    lines += [*(f"- {line}" for line in about), ""]
    lines += ["## What is to be reached", ""]
    header = ("row", "work", "what", "measured", "reach", "met")
    lines += table(header, [mark_row(result, mark) for result in results for mark in result.case.marks])
    if missed := list(missed_rows(results)):
        lines += ["", "## Where a mark is missed", ""]
        lines += table(("row", "work", "what", "measured", "what the time is spent on, and why it is left"), missed)
    for result in results:
        lines += ["", f"## Row {result.case.row}: {result.case.work}", ""]
        if result.trouble:
            lines += [f"Not measured: {result.trouble}"]
            continue
        lines += [f"{result.case.place.value}: {result.release}.", ""]
        lines += table(("size", "contender", "CPU ms", "wall ms", "MB", "runs"), list(run_rows(result)))
        if result.case.note:
            lines += ["", result.case.note]
    return "\n".join(lines) + "\n"
