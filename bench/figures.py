# SPDX-License-Identifier: GPL-2.0-or-later
"""The arithmetic: medians, ratios, growth. Nothing is measured here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import TypeAlias

Figure: TypeAlias = float


@dataclass(frozen=True)
class Usage:
    """One run: CPU time (user and system) and wall time in seconds, the largest resident set in bytes (None for a
    function, which runs in a copy of this process), counts."""

    cpu: float
    wall: float
    memory: int | None = None
    counts: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Measurements:
    """All runs of a case, by size and contender, and why others did not run."""

    runs: dict[tuple[int, str], list[Usage]] = field(default_factory=dict)
    missing: dict[tuple[int, str], str] = field(default_factory=dict)

    def add(self, size: int, contender: str, usage: Usage) -> None:
        self.runs.setdefault((size, contender), []).append(usage)

    def cpu(self, size: int, contender: str) -> Figure | None:
        """The median of the CPU time, in seconds; None where it did not run."""
        runs = self.runs.get((size, contender))
        return median(usage.cpu for usage in runs) if runs else None

    def wall(self, size: int, contender: str) -> Figure | None:
        runs = self.runs.get((size, contender))
        return median(usage.wall for usage in runs) if runs else None

    def memory(self, size: int, contender: str) -> int | None:
        known = [usage.memory for usage in self.runs.get((size, contender), ()) if usage.memory is not None]
        return max(known, default=None)

    def count(self, name: str, contender: str) -> Figure | None:
        """The sum of a count over all runs; None where nobody counted."""
        counts = [
            usage.counts[name]
            for (_, who), runs in self.runs.items()
            for usage in runs
            if who == contender and name in usage.counts
        ]
        return sum(counts) if counts else None

    def ratio(self, size: int, contender: str, other: str) -> Figure | None:
        """CPU time of one by that of the other."""
        return divide(self.cpu(size, contender), self.cpu(size, other))

    def sizes(self, contender: str) -> list[int]:
        return sorted(size for size, who in self.runs if who == contender)

    def start(self, contender: str) -> Figure:
        """CPU time where there is nothing to do: of size 0, where that was measured."""
        return self.cpu(0, contender) or 0.0

    def beyond_start(self, contender: str) -> list[tuple[int, Figure]]:
        """(size, CPU time beyond the start) of each size but 0."""
        start = self.start(contender)
        return [(size, (self.cpu(size, contender) or 0.0) - start) for size in self.sizes(contender) if size]

    def marginal(self, contender: str) -> Figure | None:
        """CPU seconds for one more of what the sizes count: from the smallest to the largest."""
        sizes = self.sizes(contender)
        if len(sizes) < 2:
            return None
        first, last = sizes[0], sizes[-1]
        return ((self.cpu(last, contender) or 0.0) - (self.cpu(first, contender) or 0.0)) / (last - first)

    def rows(self) -> Iterator[tuple[int, str]]:
        """(size, contender) of all that was tried, in the order of the sizes."""
        yield from sorted(dict.fromkeys([*self.runs, *self.missing]), key=lambda key: key[0])


def divide(one: Figure | None, other: Figure | None) -> Figure | None:
    return one / other if one is not None and other else None


def growth(points: Sequence[tuple[int, Figure]]) -> Figure | None:
    """The exponent: least squares of log(time) over log(size). None for fewer than two sizes that took any time."""
    logs = [(math.log(size), math.log(time)) for size, time in points if size > 0 and time > 0]
    if len(logs) < 2:
        return None
    x_mean, y_mean = fmean(x for x, _ in logs), fmean(y for _, y in logs)
    spread = sum((x - x_mean) ** 2 for x, _ in logs)
    return sum((x - x_mean) * (y - y_mean) for x, y in logs) / spread if spread else None
