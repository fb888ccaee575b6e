# SPDX-License-Identifier: GPL-2.0-or-later
"""Program by kernel: what each verifier made of each program, whose fault it is, and which release changed it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.floor.judge import ProgramFloor
from kprobe_tool.probes.verifier.floor.judge import parse_release as series
from kprobe_tool.probes.verifier.floor.uses import Stage
from kprobe_tool.probes.verifier.matrix.ask import KernelAnswers

NOISE_PERCENT = 10
"""Instruction counts that differ by no more than this are the same to a baseline."""

REFUSALS = frozenset({"EPERM", "ENOSYS"})
"""Errors of who may not ask, or of a filter: they say nothing about what the kernel makes of a program."""


class LoadOutcome(StrEnum):
    """What became of a program on a kernel."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_LOADED = "not-loaded"
    """The loader gave up before the verifier saw it: a map, the BTF, a symbol of the kernel."""


@dataclass(frozen=True)
class Cell:
    """One program on one kernel. ``diagnosis`` is the cause as verifier-log explain has it in JSON."""

    program: str
    kernel: str
    release: str
    outcome: LoadOutcome
    errno: str | None
    insns: int | None
    reason: str | None
    cause: CauseClass | None
    evidence: str | None
    diagnosis: Mapping[str, Any] | None

    @property
    def accepted(self) -> bool:
        return self.outcome is LoadOutcome.ACCEPTED


@dataclass(frozen=True)
class Change:
    """A release from which on a program fares otherwise than on the one before it."""

    program: str
    before: Cell
    now: Cell


def age(release: str) -> tuple[int, ...]:
    """A key to sort by: the numbers that a release begins with."""
    return tuple(map(int, re.findall(r"\d+", re.match(r"[\d.]*", release)[0])))  # type: ignore[index]


def cells(answers: Sequence[KernelAnswers], floors: Mapping[str, ProgramFloor]) -> list[Cell]:
    """All that was answered, by program in the order of the file, kernels by age."""
    found = [cell for answer in answers if answer.release is not None for cell in of_kernel(answer, floors)]
    order = {name: place for place, name in enumerate(dict.fromkeys(cell.program for cell in found))}
    return sorted(found, key=lambda cell: (order[cell.program], age(cell.release), cell.kernel))


def of_kernel(answer: KernelAnswers, floors: Mapping[str, ProgramFloor]) -> Iterable[Cell]:
    assert answer.release is not None
    for row in answer.programs:
        diagnosis = row["diagnoses"][0] if row["diagnoses"] else None
        name, outcome = row["program"], LoadOutcome(row["outcome"])
        cause = evidence = reason = None
        if outcome is LoadOutcome.REJECTED and diagnosis is not None:
            cause, evidence = CauseClass(diagnosis["cause_class"]), diagnosis["evidence"]
            reason = diagnosis["reason"]
            cause, evidence = with_floor(cause, evidence, floors.get(name), answer.release)
        yield Cell(
            name,
            answer.kernel,
            answer.release,
            outcome,
            row["errno"],
            row["stats"]["insns_processed"],
            reason,
            cause,
            evidence,
            diagnosis,
        )
    for error in answer.errors:
        name = error["program"]
        if name is not None and error["errno"] not in REFUSALS:
            cause, evidence = with_floor(CauseClass.UNKNOWN, None, floors.get(name), answer.release)
            yield Cell(
                name,
                answer.kernel,
                answer.release,
                LoadOutcome.NOT_LOADED,
                error["errno"],
                None,
                error["reason"],
                cause,
                evidence,
                None,
            )


def with_floor(
    cause: CauseClass, evidence: str | None, floor: ProgramFloor | None, release: str
) -> tuple[CauseClass, str | None]:
    """What the log does not say by itself: that the kernel is older than something that the program uses.

    Only where the program was refused: what a kernel has is not judged by its version. Where a weak kfunc is missing,
    libbpf puts something else in place of its call, so that what the verifier says of that does not name the cause.
    """
    if floor is None or floor.load.release is None or series(floor.load.release) <= series(release):
        return cause, evidence
    if cause is not CauseClass.UNKNOWN and not lacks_kfunc(floor, release):
        return cause, evidence
    names = ", ".join(use.name for use in floor.load.forced)
    return CauseClass.ENVIRONMENT, f"{names}: came with Linux {floor.load.release}"


def lacks_kfunc(floor: ProgramFloor, release: str) -> bool:
    """Whether a program calls a kfunc, without asking first, that came later."""
    return any(
        use.kind == "kfunc"
        and use.stage is Stage.LOAD
        and use.since is not None
        and series(use.since[0]) > series(release)
        for use in floor.program.uses
    )


class NoAnswer(Error):
    """A kernel that did not say what was asked: another time it may."""

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.CANNOT_TELL


def failures(answers: Sequence[KernelAnswers]) -> list[NoAnswer]:
    """Kernels without an answer, programs that nobody was let load, and what was wrong with the file as a whole."""
    found = []
    for answer in answers:
        if answer.failure is not None:
            found.append(NoAnswer(f"kernel {answer.kernel}", answer.failure))
        for error in answer.errors:
            if error["program"] is None or error["errno"] in REFUSALS:
                name = f" ({error['errno']})" if error["errno"] else ""
                subject = f"kernel {answer.kernel}: {error['subject']}"
                found.append(NoAnswer(subject, f"{error['reason']}{name}", hint=error["hint"]))
    return found


def changes(found: Sequence[Cell]) -> list[Change]:
    """Where a program is accepted by a kernel and not by its elder, or the other way round."""
    return [
        Change(now.program, before, now)
        for before, now in pairwise(found)
        if before.program == now.program and before.accepted != now.accepted
    ]


def refusals(found: Sequence[Cell], required: Iterable[str]) -> list[Cell]:
    """Programs that a required kernel, by its name or its release, does not take."""
    names = set(required)
    return [cell for cell in found if not cell.accepted and names & {cell.kernel, cell.release}]


@dataclass(frozen=True)
class BaselineDifference:
    """What became of a program on a kernel since an earlier run."""

    program: str
    kernel: str
    kind: str
    before: Mapping[str, Any]
    now: Mapping[str, Any]


def differences(
    found: Sequence[Cell], earlier: Mapping[tuple[str, str], Mapping[str, Any]]
) -> list[BaselineDifference]:
    """Against the rows of an earlier run, by program and kernel; what is in one of them only is not compared."""
    result = []
    for cell in found:
        before = earlier.get((cell.program, cell.kernel))
        if before is not None and (kind := difference(cell, before)) is not None:
            now = {"release": cell.release, "outcome": cell.outcome.value, "insns_processed": cell.insns}
            result.append(BaselineDifference(cell.program, cell.kernel, kind, before, now))
    return result


def difference(cell: Cell, before: Mapping[str, Any]) -> str | None:
    """``newly-rejected``, ``newly-accepted``, ``more-instructions``, ``fewer-instructions`` or nothing."""
    was = before["outcome"] == LoadOutcome.ACCEPTED
    if was != cell.accepted:
        return "newly-accepted" if cell.accepted else "newly-rejected"
    insns = before["insns_processed"]
    if not insns or cell.insns is None or abs(cell.insns - insns) * 100 <= insns * NOISE_PERCENT:
        return None
    return "more-instructions" if cell.insns > insns else "fewer-instructions"


def earlier_rows(document: Any) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The rows of an earlier document. It is hostile input. Raises ValueError, TypeError, KeyError."""
    rows: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in document["results"]:
        insns = row["insns_processed"]
        kept = {"release": row["release"], "outcome": row["outcome"], "insns_processed": insns}
        if not all(isinstance(row[name], str) for name in ("program", "kernel", "release", "outcome")):
            raise ValueError("a result whose names are not text")
        if insns is not None and not isinstance(insns, int):
            raise ValueError("a number of instructions that is not one")
        LoadOutcome(row["outcome"])
        rows[row["program"], row["kernel"]] = kept
    return rows
