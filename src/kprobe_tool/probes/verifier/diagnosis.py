# SPDX-License-Identifier: GPL-2.0-or-later
"""What is said about a verifier log, whichever kernel wrote it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Category(StrEnum):
    """The kernel's seven (kernel/bpf/diagnostics.c), then ours for what the kernel gives no diagnostics of."""

    REGISTER = "Register Type Safety"
    MEMORY = "Memory Safety"
    RESOURCE = "Resource Lifetime Safety"
    CALL = "Call Type Safety"
    CONTEXT = "Execution Context Safety"
    STRUCTURE = "Program Structure"
    POLICY = "Policy"
    LIMIT = "Verifier Limit"
    MALFORMED = "Malformed Program"
    PRIVILEGE = "Privilege"
    INTERNAL = "Verifier Internal"
    LOADER = "Loader"


class CauseClass(StrEnum):
    """Whose fault a rejection is, where the log says so."""

    SOURCE = "source"
    """What the author wrote."""
    COMPILER = "compiler"
    """What the compiler made of it, or its options."""
    ENVIRONMENT = "environment"
    """The kernel is too old or configured otherwise, the type of program, privileges, the loader."""
    VERIFIER_LIMIT = "verifier_limit"
    """The program may be right, and is too much for what the verifier follows."""
    VERIFIER_FALSE_POSITIVE = "verifier_false_positive"
    """The program is right, and this kernel's verifier wrong."""
    UNKNOWN = "unknown"


class LogOutcome(StrEnum):
    """What became of the program, as far as the log tells."""

    REJECTED = "rejected"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"


class LostPart(StrEnum):
    """Which part of a log did not fit into the loader's buffer."""

    HEAD = "head"
    TAIL = "tail"


@dataclass(frozen=True)
class Line:
    """A line of source or an instruction near a place; ``number`` is the line's or the instruction's own."""

    number: int | None
    text: str


@dataclass(frozen=True)
class Place:
    """Where in the program: the instruction's index, and the line of source that it was made from.

    ``instruction`` is the disassembly, ``caret`` the column of a screen at which a mark below the line of source
    stands, where that is known. The context is what stands around both, the place's own lines included.
    """

    insn: int | None = None
    function: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None
    source: str | None = None
    instruction: str | None = None
    source_context: tuple[Line, ...] = ()
    instruction_context: tuple[Line, ...] = ()
    caret: int | None = None


@dataclass(frozen=True)
class PathEvent:
    """One event on the way to the rejection.

    ``kind`` is a label of the kernel's (acquired, released, branch, update, spilled, invalidated, context, note) or
    ``lost-bound``, which only we say.
    """

    kind: str
    message: str
    place: Place = Place()


@dataclass(frozen=True)
class Truncation:
    """A log that is not whole. ``size`` is what there is of it, ``needed`` what a buffer must hold, both in bytes."""

    lost: LostPart
    size: int
    needed: int | None
    advice: str


@dataclass(frozen=True)
class Diagnosis:
    """What one log, or one block of it, says.

    ``native`` is true for the kernel's own diagnostics (Linux v7.3 and later), which are passed on unchanged.
    ``recognised`` is false for a message that no row of the table of messages has: ``reason`` then only repeats it.
    ``rule`` names the row. ``message`` is the kernel's line, ``details`` the lines that belong to it. ``errno`` is a
    name. ``evidence`` is what in the log tells the ``cause_class``. ``others`` are further diagnoses in the same log.
    ``notes`` say what the log could not tell.
    """

    outcome: LogOutcome
    native: bool
    recognised: bool
    category: str | None
    problem: str | None
    message: str | None
    reason: str
    place: Place = Place()
    path: tuple[PathEvent, ...] = ()
    lock: tuple[PathEvent, ...] = ()
    suggestion: str | None = None
    errno: str | None = None
    truncated: Truncation | None = None
    program: str | None = None
    rule: str | None = None
    details: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    label: str | None = None
    cause_class: CauseClass = CauseClass.UNKNOWN
    evidence: str | None = None
    others: tuple[Diagnosis, ...] = field(default=())

    def with_places(self, change: Callable[[Place], Place]) -> Diagnosis:
        """The same with every place in it changed, those of the other diagnoses included."""

        def events(path: tuple[PathEvent, ...]) -> tuple[PathEvent, ...]:
            return tuple(replace(event, place=change(event.place)) for event in path)

        others = tuple(other.with_places(change) for other in self.others)
        return replace(self, place=change(self.place), path=events(self.path), lock=events(self.lock), others=others)
