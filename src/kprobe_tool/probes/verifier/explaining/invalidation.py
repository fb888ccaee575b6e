# SPDX-License-Identifier: GPL-2.0-or-later
"""Pointers that a call has invalidated: it gave the object back, or may have moved the packet."""

from __future__ import annotations

import re
from typing import NamedTuple

from kprobe_tool.probes.verifier.diagnosis import PathEvent
from kprobe_tool.probes.verifier.log.disasm import Operation
from kprobe_tool.probes.verifier.log.path import InsnPath, PathInsn
from kprobe_tool.probes.verifier.log.states import Value, parse_value

MOVES_PACKETS = re.compile(
    r"bpf_(?:skb|xdp|l3|l4|msg|lwt|csum|clone|sk_skb)_?\w{0,24}"
    r"(?:pull|adjust|change|store|push|pop|proto|room|tail|head|replace|redirect|set)\w{0,24}"
)
UNLOCKS = re.compile(r"bpf_(?:res_)?(?:spin|rcu_read)_unlock\w{0,16}")
RELEASES = re.compile(r"bpf_\w{0,48}(?:release|submit|discard|put|drop|destroy|unlock|push|add)\w{0,24}")


class LiveRange(NamedTuple):
    """The time for which a register held what is followed: from the visit that wrote it to the one that needs it."""

    name: str
    begin: int
    end: int


def find_invalidation(span: LiveRange, path: InsnPath) -> tuple[int, PathEvent] | None:
    """The call that invalidated the pointer in a register: it gave the object back, or may have moved the packet."""
    visits = path.visits
    for number in range(span.end - 1, span.begin - 1, -1):
        text = visits[number].after.get(span.name) if visits[number].depth == 0 else None
        pointer = None if text is None else parse_value(text)
        if pointer is None or pointer.scalar:
            continue
        owned = reference_of(pointer, visits[number])
        if owned is not None:
            release = find_release(owned, number, span.end, visits)
            message = f"gives reference {owned} back, so {span.name} is no pointer any more"
        elif "non_own_ref" in pointer.attributes:
            release = find_call(UNLOCKS, number, span.end, visits)
            message = f"ends the time for which {span.name} was borrowed"
        elif pointer.type.startswith("pkt"):
            release = find_call(MOVES_PACKETS, number, span.end, visits)
            message = f"may move the packet, so {span.name} is no packet pointer any more"
        else:
            return None
        if release is None:
            return None
        return release, PathEvent(
            "invalidated", f"{visits[release].instruction.name}() {message}", visits[release].place()
        )
    return None


def reference_of(pointer: Value, visit: PathInsn) -> str | None:
    """The reference that a pointer holds, or None.

    Kernels before v7.3 print it with the pointer (ref_obj_id). Later ones only list all references that are held: the
    pointer has one if its id is in that list.
    """
    ref_obj_id = pointer.attributes.get("ref_obj_id")
    if ref_obj_id is not None:
        return ref_obj_id
    number = pointer.attributes.get("id")
    return number if number is not None and number in held_references(visit) else None


def held_references(visit: PathInsn) -> list[str]:
    return visit.after.get("refs", "").split(",")


def find_release(owned: str, first: int, end: int, visits: list[PathInsn]) -> int | None:
    """The call after which a reference is not held any more."""
    if owned not in held_references(visits[first]):
        return find_call(RELEASES, first, end, visits)
    last = first
    for number in range(first + 1, end):
        visit = visits[number]
        if owned in held_references(visit):
            last = number
        elif visit.state:
            end = number + 1
            break
    calls = [
        number
        for number in range(last, end)
        if visits[number].instruction.operation is Operation.CALL and number > first
    ]
    return calls[0] if len(calls) == 1 else next((each for each in calls if is_call_of(visits[each], RELEASES)), None)


def is_call_of(visit: PathInsn, pattern: re.Pattern[str]) -> bool:
    return (
        visit.instruction.operation is Operation.CALL and pattern.fullmatch(visit.instruction.name or "") is not None
    )


def find_call(pattern: re.Pattern[str], first: int, end: int, visits: list[PathInsn]) -> int | None:
    """The first call of such a name after a visit and before another."""
    return next((number for number in range(first + 1, end) if is_call_of(visits[number], pattern)), None)
