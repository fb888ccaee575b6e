# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured: a case, who does its work, and what is to be reached."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from .figures import Figure, Measurements, growth

OURS = "kprobe-tool"


@dataclass(frozen=True)
class Command:
    """A process to measure: an argv, or a function that a forked child calls.

    ``codes`` are the exit statuses that mean the work was done. ``around`` is entered before each run, outside of
    what is measured; the counts that it yields are read when it is left.
    """

    work: Sequence[str] | Callable[[], None]
    codes: Collection[int] = (0,)
    around: Callable[[], AbstractContextManager[Mapping[str, float]]] = field(default=lambda: nullcontext({}))
    rounds: int | None = None
    """Fewer than the others, where once takes minutes."""


@dataclass(frozen=True)
class Missing:
    """A contender that is not here, or cannot do this size, and why."""

    reason: str


Contenders: TypeAlias = Mapping[str, Command | Missing]


class Place(Enum):
    """Where a case is run."""

    HERE = "this kernel"
    UML = "User Mode Linux"
    LAB = "a Debian kernel, emulated by QEMU"


@dataclass(frozen=True)
class Mark:
    """What is to be reached: the ``figure`` of the measurements, at most (or at least) the ``limit``.

    ``why`` says what the time is spent on, as a profile showed, and why that was left: it is read where the mark is
    missed.
    """

    what: str
    figure: Callable[[Measurements], Figure | None]
    limit: float
    unit: str = "x"
    at_least: bool = False
    why: str = ""


@dataclass(frozen=True)
class Case:
    """Work of one row of the table. ``prepare`` gives the contenders for a size; what they need is there inside.

    ``note`` says how to read the figures.
    """

    name: str
    row: int
    work: str
    prepare: Callable[[int], AbstractContextManager[Contenders]]
    marks: Sequence[Mark] = ()
    sizes: Sequence[int] = (1,)
    unit: str = ""
    place: Place = Place.HERE
    rounds: int = 7
    note: str = ""


def tool(*words: str, codes: Collection[int] = (0,)) -> Command:
    """kprobe-tool with these words."""
    return Command([sys.executable, "-m", "kprobe_tool", *words], codes)


def python(program: str, *words: str) -> Command:
    """A program for this interpreter."""
    return Command([sys.executable, "-c", program, *words])


def at_most(contender: str, other: str, limit: float, size: int = 1, why: str = "") -> Mark:
    """CPU time of one by that of the other."""
    return Mark(f"CPU, {contender} / {other}", lambda seen: seen.ratio(size, contender, other), limit, why=why)


def linear(contender: str, limit: float = 1.05, why: str = "") -> Mark:
    """How CPU time beyond the start grows with the size: n to the power of this."""
    return Mark("exponent of growth (row 11)", lambda seen: growth(seen.beyond_start(contender)), limit, "", why=why)
