# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks that ``audit`` runs: what kernels have got wrong about structs that grow, and what filters hide."""

from __future__ import annotations

import errno as errnos
import time
from collections.abc import Callable

from kprobe_tool.checks import Finding, Status
from kprobe_tool.errors import errno_name
from kprobe_tool.native import host, openat2, sched_types
from kprobe_tool.native.prober import Answer, Call, Prober
from kprobe_tool.native.syscall import PAGE_SIZE
from kprobe_tool.probes.extensible_structs import ask, table
from kprobe_tool.probes.extensible_structs.model import Reachability
from kprobe_tool.probes.extensible_structs.recipe import FILL, answer_name

LARGER = 1024
"""Bytes of a sched_attr from the future: more than any kernel's, less than a page."""


def ask_once(call: Call) -> Answer:
    """One call in a child of its own."""
    with Prober(time.monotonic() + ask.TIME_LIMIT) as prober:
        return prober.ask(call)


def unanswered(name: str, answer: Answer) -> Finding | None:
    """The finding where openat2() or another call does not get to the kernel at all."""
    if answer.signal is not None or answer.errno in {errnos.ENOSYS, errnos.EPERM, errnos.EACCES}:
        return Finding(
            Status.UNKNOWN,
            f"{name} answers {answer_name(answer)}",
            settle="run it where no seccomp filter is in the way; 'kprobe-tool check-fields --all' says where it is",
        )
    return None


def check_usize_limit() -> Finding:
    """openat2() with two pages of struct, all zero: E2BIG is the rule of all extensible structs."""
    answer = ask_once(openat2.openat2(bytes(2 * PAGE_SIZE)))
    evidence = {"usize": 2 * PAGE_SIZE, "errno": answer_name(answer)}
    unknown = unanswered("openat2(2)", answer)
    if unknown is not None:
        return unknown
    if answer.errno == errnos.E2BIG:
        return Finding(Status.OK, "a usize of more than a page is E2BIG", evidence=evidence)
    if answer.errno == errnos.EFAULT:
        reason = "a usize of more than a page is not refused: the call gets as far as the path"
        return Finding(Status.AFFECTED, reason, evidence=evidence)
    return Finding(
        Status.UNKNOWN,
        f"openat2(2) answers {errno_name(answer.errno)}, which is neither of the known behaviours",
        evidence=evidence,
        settle="report the evidence, with the kernel's release",
    )


def check_copy_to_user() -> Finding:
    """sched_getattr() into a larger and into a smaller struct than the kernel's, over a known pattern."""
    with Prober(time.monotonic() + ask.TIME_LIMIT) as prober:
        larger = prober.ask(sched_types.sched_getattr(FILL * LARGER, LARGER))
        smaller = prober.ask(sched_types.sched_getattr(FILL * LARGER, sched_types.SIZE_VER0))
    for answer in (larger, smaller):
        unknown = unanswered("sched_getattr(2)", answer)
        if unknown is not None:
            return unknown
    if larger.errno or smaller.errno:
        return Finding(
            Status.UNKNOWN,
            f"sched_getattr(2) answers {errno_name(larger.errno or smaller.errno)}",
            settle="report it, with the kernel's release",
        )
    size = sched_types.size_of(larger.memory[0])
    tail = larger.memory[0][size:]
    beyond = smaller.memory[0][sched_types.SIZE_VER0 :]
    small_size = sched_types.size_of(smaller.memory[0])
    evidence = {
        "size": size,
        "size_told_to_smaller": small_size,
        "tail": "zero" if not any(tail) else "untouched" if tail == FILL * len(tail) else "other",
        "written_beyond_smaller": beyond != FILL * len(beyond),
    }
    if evidence["written_beyond_smaller"] or small_size > sched_types.SIZE_VER0:
        return Finding(Status.AFFECTED, "the kernel writes beyond a smaller struct", evidence=evidence)
    if evidence["tail"] != "zero":
        reason = f"bytes behind the kernel's {size} are not cleared in a larger struct"
        return Finding(Status.AFFECTED, reason, evidence=evidence)
    return Finding(Status.OK, f"{size} bytes: a larger struct is cleared, a smaller one kept to", evidence=evidence)


def check_reachability() -> Finding:
    """Whether each known system call gets to the kernel from this process."""
    filtered = (host.status_field("Seccomp") or "0") != "0"
    found: dict[str, str] = {}
    for name in table.NAMES:
        with Prober(time.monotonic() + ask.TIME_LIMIT) as prober:
            found[name] = ask.ask_reach(table.entry(name), prober, filtered).reach.value
    evidence = {"seccomp": filtered, "reachable": found}
    blocked = [name for name, reach in found.items() if reach == Reachability.BLOCKED.value]
    unknown = [name for name, reach in found.items() if reach == Reachability.UNKNOWN.value]
    if blocked:
        return Finding(Status.AFFECTED, f"a seccomp filter blocks {', '.join(blocked)}", evidence=evidence)
    if unknown:
        return Finding(
            Status.UNKNOWN,
            f"it cannot be told whether {', '.join(unknown)} gets to the kernel",
            evidence=evidence,
            settle="run it outside of the container, or with /proc/kallsyms readable",
        )
    absent = [name for name, reach in found.items() if reach == Reachability.ABSENT.value]
    reason = f"none is blocked, {len(found) - len(absent)} of {len(found)} answer"
    if absent:
        reason += f"; this kernel has no {', '.join(absent)}"
    return Finding(Status.OK, reason, evidence=evidence)


QUESTIONS: dict[str, Callable[[], Finding]] = {
    "openat2-usize-limit": check_usize_limit,
    "copy-struct-to-user": check_copy_to_user,
    "extensible-struct-reachability": check_reachability,
}


def check(check_id: str) -> Finding:
    """What the kernel answers to one check's question."""
    return QUESTIONS[check_id]()
