# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks that ``audit`` runs: what kernels have got wrong about structs that grow, and what filters hide."""

from __future__ import annotations

import errno as errnos
import time
from collections.abc import Callable, Mapping

from kprobe_tool.checks import Finding, Status
from kprobe_tool.errors import errno_name
from kprobe_tool.native import emulator, openat2, sched_types
from kprobe_tool.native.prober import Call, CallAnswer, Prober
from kprobe_tool.native.syscall import PAGE_SIZE
from kprobe_tool.probes.extensible_structs import ask, table
from kprobe_tool.probes.extensible_structs.model import Reachability
from kprobe_tool.probes.extensible_structs.recipe import FILL, answer_name

TWO_PAGES = 2 * PAGE_SIZE

LARGER = 1024
"""Bytes of a sched_attr from the future: more than any kernel's, less than a page."""


def ask_once(call: Call) -> CallAnswer:
    """One call in a child of its own."""
    with Prober(time.monotonic() + ask.TIME_LIMIT) as prober:
        return prober.ask(call)


def unreachable_finding(name: str, answer: CallAnswer) -> Finding | None:
    """The finding where openat2() or another call does not get to the kernel at all."""
    if answer.signal is not None or answer.errno in {errnos.ENOSYS, errnos.EPERM, errnos.EACCES}:
        return Finding(
            Status.UNKNOWN,
            f"{name} cannot be asked: {answer_name(answer)}.",
            settle="run it where no seccomp filter is in the way; 'kprobe-tool check-fields --all' says where it is",
        )
    return None


def check_usize_limit() -> Finding:
    """openat2() with two pages of struct, all zero: E2BIG is the rule of all extensible structs."""
    return judge_usize_limit(ask_once(openat2.openat2(bytes(TWO_PAGES))))


def judge_usize_limit(answer: CallAnswer) -> Finding:
    """The finding on what openat2() answers to two pages."""
    unknown = unreachable_finding("openat2(2)", answer)
    if unknown is not None:
        return unknown
    evidence = {"usize": TWO_PAGES, "errno": answer_name(answer)}
    if answer.errno == errnos.E2BIG:
        return Finding(Status.OK, "openat2() correctly rejects oversized structs (E2BIG).", evidence=evidence)
    if answer.errno == errnos.EFAULT:
        reason = "openat2() accepts oversized structs: EFAULT, where other system calls answer E2BIG."
        return Finding(Status.AFFECTED, reason, evidence=evidence)
    return Finding(
        Status.UNKNOWN,
        f"openat2() answers an oversized struct with {errno_name(answer.errno)}, which no known kernel does.",
        evidence=evidence,
        settle="report the evidence, with the kernel's release",
    )


def check_copy_to_user() -> Finding:
    """sched_getattr() into a larger and into a smaller struct than the kernel's, over a known pattern."""
    with Prober(time.monotonic() + ask.TIME_LIMIT) as prober:
        larger = prober.ask(sched_types.sched_getattr(FILL * LARGER, LARGER))
        smaller = prober.ask(sched_types.sched_getattr(FILL * LARGER, sched_types.SIZE_VER0))
    return judge_copy_to_user(larger, smaller)


def judge_copy_to_user(larger: CallAnswer, smaller: CallAnswer) -> Finding:
    """The finding on LARGER bytes of FILL after sched_getattr(): with all of them its size, and with SIZE_VER0."""
    for answer in (larger, smaller):
        unknown = unreachable_finding("sched_getattr(2)", answer)
        if unknown is not None:
            return unknown
        if answer.errno:
            return Finding(
                Status.UNKNOWN,
                f"sched_getattr() fails with {errno_name(answer.errno)}, which no known kernel does here.",
                settle="report it, with the kernel's release",
            )
    size = sched_types.size_of(larger.memory[0])
    tail = larger.memory[0][size:]
    beyond = smaller.memory[0][sched_types.SIZE_VER0 :]
    small_size = sched_types.size_of(smaller.memory[0])
    zero, untouched = not any(tail), tail == FILL * len(tail)
    overrun = beyond != FILL * len(beyond)
    evidence = {
        "size": size,
        "size_told_to_smaller": small_size,
        "tail": "zero" if zero else "untouched" if untouched else "other",
        "written_beyond_smaller": overrun,
    }
    if overrun or small_size > sched_types.SIZE_VER0:
        reason = "sched_getattr() writes beyond the end of a smaller struct than the kernel's."
        return Finding(Status.AFFECTED, reason, evidence=evidence)
    if not zero:
        reason = f"sched_getattr() leaves old memory in a struct larger than the kernel's {size} bytes."
        return Finding(Status.AFFECTED, reason, evidence=evidence)
    reason = (
        f"sched_getattr() clears what a struct has beyond the kernel's {size} bytes, and overruns no smaller one."
    )
    return Finding(Status.OK, reason, evidence=evidence)


def check_reachability() -> Finding:
    """Whether each of the system calls gets to the kernel from this process."""
    filtered = ask.has_seccomp_filter()
    found: dict[str, Reachability] = {}
    for name in table.NAMES:
        with Prober(time.monotonic() + ask.TIME_LIMIT) as prober:
            found[name] = ask.ask_reach(table.entry(name), prober, filtered).reach
    return judge_reachability(filtered, found)


def judge_reachability(filtered: bool | None, found: Mapping[str, Reachability]) -> Finding:
    """The finding on what was found of each system call."""
    evidence = {"seccomp": filtered, "reachable": {name: reach.value for name, reach in found.items()}}

    def names(reach: Reachability) -> str:
        return ", ".join(name for name, each in found.items() if each is reach)

    blocked, unknown = names(Reachability.BLOCKED), names(Reachability.UNKNOWN)
    if blocked:
        reason = f"A seccomp filter keeps programs from using {blocked}."
        return Finding(Status.AFFECTED, reason, evidence=evidence)
    if unknown:
        return Finding(
            Status.UNKNOWN,
            f"It cannot be told whether {unknown} is blocked by a seccomp filter.",
            evidence=evidence,
            settle="run it outside the container, or with /proc/kallsyms readable",
        )
    reason = f"No seccomp filter blocks any of the {len(found)} system calls probed."
    absent, disabled = names(Reachability.ABSENT), names(Reachability.DISABLED)
    if absent:
        reason += f" This kernel does not have {absent}."
    if disabled:
        reason += f" The settings of this host refuse {disabled}."
    return Finding(Status.OK, reason, evidence=evidence)


QUESTIONS: dict[str, Callable[[], Finding]] = {
    "openat2-usize-limit": check_usize_limit,
    "copy-struct-to-user": check_copy_to_user,
    "extensible-struct-reachability": check_reachability,
}


def check(check_id: str) -> Finding:
    """What the kernel answers to one check's question; what an emulator answers is not its word."""
    name = emulator.emulator()
    if name is None:
        return QUESTIONS[check_id]()
    return Finding(
        Status.UNKNOWN,
        f"The kernel cannot be asked: {name} runs this program and answers in its place.",
        settle="kprobe-tool for the machine's own architecture, without the emulator",
    )
