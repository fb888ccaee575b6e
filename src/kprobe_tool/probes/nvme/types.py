# SPDX-License-Identifier: GPL-2.0-or-later
"""Which hctx is a default, a read or a poll queue: from debugfs, otherwise from the CPU lists alone."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from kprobe_tool.probes.nvme.split import HctxType

Cpus = tuple[int, ...]


class TypeSource(StrEnum):
    """How the types were found out."""

    DEBUGFS = "debugfs"
    CPU_LISTS = "cpu-lists"


def correct_types(shown: Sequence[HctxType]) -> list[HctxType]:
    """The true types, given what debugfs shows for each hctx from 0 on.

    The default map begins at hctx 0 and is never empty, so a ``poll`` there is the one untruth the kernel tells: poll
    queues were asked for, none was granted, and the untouched poll map has all its CPUs on hctx 0
    (blk_mq_map_swqueue(), block/blk-mq.c). Whether hctx 0 then shows ``poll`` or ``default`` is decided by the map
    of the highest CPU, so the absence of the word says nothing; :func:`poll_on_zero` does.
    """
    return ["default" if index == 0 else each for index, each in enumerate(shown)]


def poll_on_zero(cpus: Sequence[Cpus], types: Sequence[HctxType]) -> bool:
    """Whether hctx 0 has CPUs of other default queues: the untouched map of poll queues that were not granted."""
    own = set(cpus[0])
    return any(own.intersection(each) for each, kind in zip(cpus[1:], types[1:], strict=True) if kind == "default")


def deduce_types(cpus: Sequence[Cpus], io_poll: bool | None) -> list[HctxType] | None:
    """The types from the CPUs of each hctx and ``queue/io_poll``, or None where these allow two answers.

    Each map has every CPU that is not isolated exactly once, and the hctxs of default, read and poll follow one
    another. ``io_poll`` says whether poll queues were asked for, not whether there are any.
    """
    everything = set().union(*cpus)
    # An hctx without CPUs is one of isolated CPUs only, which blk_mq_map_swqueue() leaves out: between two maps it
    # may belong to either.
    if not everything or io_poll is None or not all(cpus):
        return None
    groups = partition(cpus, everything)
    if groups is None:
        return deduce_poll_on_zero(cpus, everything) if io_poll else None
    if io_poll and len(groups) == 2 and groups[0] == 1:
        # One default queue and either poll queues or read queues: a poll map left on hctx 0 adds nothing there.
        return None
    kinds: dict[tuple[int, bool], tuple[HctxType, ...]] = {
        (1, False): ("default",),
        (1, True): ("default",),
        (2, False): ("default", "read"),
        (2, True): ("default", "poll"),
        (3, True): ("default", "read", "poll"),
    }
    names = kinds.get((len(groups), io_poll))
    if names is None:
        return None
    return [name for name, count in zip(names, groups, strict=True) for _ in range(count)]


def deduce_poll_on_zero(cpus: Sequence[Cpus], everything: set[int]) -> list[HctxType] | None:
    """The types where the untouched poll map has put all CPUs on hctx 0, or None where the CPUs allow two answers.

    Those of them that no other default queue has are hctx 0's own. Only called where the hctxs' CPUs cannot be
    divided into whole maps (see deduce_types()): then there are at least two default queues, and hctx 0 has CPUs of
    its own.
    """
    if len(cpus[0]) != len(everything):
        return None
    answers: list[list[HctxType]] = []
    seen: set[int] = set()
    for default in range(1, len(cpus) + 1):
        rest = partition(cpus[default:], everything) if default < len(cpus) else []
        if rest is not None and len(rest) <= 1:
            reads: list[HctxType] = ["read"] * sum(rest)
            answers.append([*["default"] * default, *reads])  # type: ignore[list-item]
        if default < len(cpus):
            if seen.intersection(cpus[default]):
                break
            seen.update(cpus[default])
    return answers[0] if len(answers) == 1 else None


def partition(cpus: Sequence[Cpus], everything: set[int]) -> list[int] | None:
    """How many hctxs make up each map in turn, or None where some CPU is twice in a map or missing from the last."""
    groups: list[int] = []
    seen: set[int] = set()
    count = 0
    for each in cpus:
        if seen.intersection(each):
            return None
        seen.update(each)
        count += 1
        if len(seen) == len(everything):
            groups.append(count)
            seen.clear()
            count = 0
    return None if count else groups
