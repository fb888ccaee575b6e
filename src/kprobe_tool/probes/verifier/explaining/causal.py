# SPDX-License-Identifier: GPL-2.0-or-later
"""What led to a rejection, from the states and branches of the path.

A register is followed back through copies, arithmetic, and spills to the stack, to the instruction that made its
value. A comparison on the way that did not bound it becomes an event of its own, a lost bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from kprobe_tool.probes.verifier.diagnosis import PathEvent
from kprobe_tool.probes.verifier.explaining.bounds import find_lost_bounds
from kprobe_tool.probes.verifier.explaining.invalidation import LiveRange, find_invalidation
from kprobe_tool.probes.verifier.explaining.slots import may_write
from kprobe_tool.probes.verifier.log.disasm import Instruction, Operation
from kprobe_tool.probes.verifier.log.path import InsnPath, PathInsn
from kprobe_tool.probes.verifier.log.states import describe
from kprobe_tool.probes.verifier.messages.row import Follow, Match

STEPS_MAX = 64
"""Steps that are shown. Where there are more, half of these are the first ones and half the last."""

HISTORY_MAX = 256
"""Steps that a register is followed back through, of which each round of a loop has some."""

ORDINAL = re.compile(r"args?#?(\d{1,2})")
REGISTER = re.compile(r"R(10|\d)")
REGIONS = {
    Follow.RCU: ("an RCU read section", ("bpf_rcu_read_lock",), ("bpf_rcu_read_unlock",)),
    Follow.PREEMPT: ("a section without preemption", ("bpf_preempt_disable",), ("bpf_preempt_enable",)),
    Follow.IRQ: (
        "a section without interrupts",
        ("bpf_local_irq_save", "bpf_res_spin_lock_irqsave"),
        ("bpf_local_irq_restore", "bpf_res_spin_unlock_irqrestore"),
    ),
    Follow.LOCK: (
        "a section under a lock",
        ("bpf_spin_lock", "bpf_res_spin_lock", "bpf_res_spin_lock_irqsave"),
        ("bpf_spin_unlock", "bpf_res_spin_unlock", "bpf_res_spin_unlock_irqrestore"),
    ),
}
REGION_WORDS = (("rcu", Follow.RCU), ("preempt", Follow.PREEMPT), ("irq", Follow.IRQ), ("lock", Follow.LOCK))

CALLBACKS = {
    "bpf_loop": ("R2", "R3"),
    "bpf_for_each_map_elem": ("R4", "R3"),
    "bpf_user_ringbuf_drain": ("R2", "R3"),
    "bpf_find_vma": ("R3", "R4"),
}
"""helper: (register of the callback, register of the helper's own call that it comes from), as
set_loop_callback_state() and its like have it."""


class CausalPath(NamedTuple):
    """The events, oldest first; ``notes`` say what the log does not show."""

    events: tuple[PathEvent, ...] = ()
    notes: tuple[str, ...] = ()


def follow(found: Match, path: InsnPath) -> CausalPath:
    """The causal path of a message."""
    if not path.visits:
        return CausalPath()
    kind = found.row.follow
    if kind is Follow.NOTHING or "at" in found.fields:
        return CausalPath()
    if kind is Follow.CONTEXT:
        what = found.fields["what"].lower()
        kind = next((follow for word, follow in REGION_WORDS if word in what), Follow.NOTHING)
    if kind in REGIONS:
        return follow_regions(kind, path)
    if kind is Follow.REFERENCE:
        return follow_reference(found, path)
    register = register_of(found, kind, path.visits[-1].instruction)
    if register is None:
        return CausalPath()
    return follow_register(found, register, path)


def register_of(found: Match, kind: Follow, instruction: Instruction) -> str | None:
    """The register that a message is about."""
    if kind is Follow.R0:
        return "R0"
    if kind is Follow.R1:
        return "R1"
    if kind is Follow.SOURCE:
        return instruction.reads or instruction.writes
    if kind is Follow.REGISTER_OF_INSN:
        return instruction.writes
    name = {Follow.REGISTER: "arg", Follow.REGISTER2: "arg2", Follow.LENGTH: "len"}.get(kind)
    text = found.fields.get(name or "", "")
    if REGISTER.fullmatch(text):
        return text
    counted = ORDINAL.fullmatch(text)
    if counted is None or int(counted[1]) > 5:
        return None
    # Messages about helpers count from arg1, which is R1; all others from arg#0, which is R1 too. 'arg #1' matches
    # neither: kernels differ in which of the two they mean by it.
    return f"R{int(counted[1]) + ('helper' not in found.wording)}"


def branch_event(visit: PathInsn, following: PathInsn) -> PathEvent | None:
    """Which way a conditional jump went."""
    instruction = visit.instruction
    if instruction.operation is not Operation.BRANCH or instruction.offset == 0:
        return None
    if following.insn == visit.insn + 1 + instruction.offset:
        message = f"the condition holds: the jump to {following.insn} is taken"
    elif following.insn == visit.insn + 1:
        message = f"the condition does not hold: on to {following.insn}"
    else:
        return None
    return PathEvent("branch", message, visit.place())


def branch_events(visits: list[PathInsn], first: int) -> Iterator[tuple[int, PathEvent]]:
    """The branches from a visit on, each with its number on the path."""
    for number in range(first, len(visits) - 1):
        event = branch_event(visits[number], visits[number + 1])
        if event is not None:
            yield number, event


def sort_steps(steps: list[tuple[int, PathEvent]], notes: list[str]) -> CausalPath:
    """Steps in the order of the path; the middle of too many is left out."""
    steps.sort(key=lambda each: each[0])
    shown = [event for _, event in steps]
    if len(shown) > STEPS_MAX:
        half = STEPS_MAX // 2
        left = len(shown) - STEPS_MAX
        shown = [*shown[:half], PathEvent("note", f"{left} steps between are left out"), *shown[-half:]]
    return CausalPath(tuple(shown), tuple(notes))


def follow_reference(found: Match, path: InsnPath) -> CausalPath:
    """Where a reference was acquired, and the branches from there on."""
    insn, name = int(found.fields["insn"]), found.fields["id"]
    for number in range(len(path.visits) - 1, -1, -1):
        if path.visits[number].insn == insn:
            place = path.visits[number].place()
            steps = [(number, PathEvent("acquired", f"reference {name} is acquired here", place))]
            steps += branch_events(path.visits, number)
            return sort_steps(steps, [])
    return CausalPath(
        notes=(f"the log does not show instruction {insn}, which acquired the reference: {why_incomplete(path)}",)
    )


def why_incomplete(path: InsnPath) -> str:
    return path.cut or "it has not all instructions of the path"


def follow_regions(kind: Follow, path: InsnPath) -> CausalPath:
    """Where a region was entered and left, from the last time that it was entered from outside."""
    name, enters, leaves = REGIONS[kind]
    steps: list[tuple[int, PathEvent]] = []
    depth = 0
    for number, visit in enumerate(path.visits[:-1]):
        function = visit.instruction.name if visit.instruction.operation is Operation.CALL else None
        if function in enters:
            if depth == 0:
                steps.clear()
            depth += 1
            steps.append((number, PathEvent("context", f"{name} is entered (depth {depth})", visit.place())))
        elif function in leaves:
            depth = max(0, depth - 1)
            steps.append((number, PathEvent("context", f"{name} is left (depth {depth})", visit.place())))
    first = steps[0][0] if steps else len(path.visits)
    notes = [] if steps or path.cut is None else [f"where the region was entered is not in the log: {path.cut}"]
    return sort_steps([*steps, *branch_events(path.visits, first)], notes)


@dataclass
class FollowedValue:
    """What is followed: a register or a slot of the stack, in the function at this depth of calls.

    ``described`` is false where only the origin is wanted: the words for each step are most of the work.
    """

    name: str
    depth: int
    described: bool = True


class Effect(NamedTuple):
    """What an instruction did to the value that is followed; ``begins`` is true where the value begins there."""

    message: str
    kind: str
    begins: bool


def follow_register(found: Match, register: str, path: InsnPath) -> CausalPath:
    """Where a register got what it holds: the steps that made it, the branches since, bounds and pointers lost."""
    visits = path.visits
    steps: list[tuple[int, PathEvent]] = []
    notes: list[str] = []
    target = FollowedValue(register, 0)
    first = len(visits) - 1
    ended = False
    spans: list[LiveRange] = []
    for number in range(len(visits) - 2, -1, -1):
        visit = visits[number]
        name = target.name
        effect = effect_on(visit, visits[number + 1], target, number, visits)
        if effect is None:
            continue
        ended = effect.begins
        spans.append(LiveRange(name, number, first))
        first = number
        steps.append((number, PathEvent(effect.kind, effect.message, visit.place())))
        if ended:
            break
        if len(steps) >= HISTORY_MAX:
            notes.append(f"the register's history goes further back; {HISTORY_MAX} steps of it were followed")
            ended = True
            break
    context = not ended and target.name == "R1" and target.depth <= 0 and path.cut is None and path.function is None
    if found.row.lost_pointer and found.fields.get("type", "scalar") in {"scalar", "inv"}:
        steps += next(([lost] for span in spans if (lost := find_invalidation(span, path)) is not None), [])
    steps += branch_events(visits, first)
    steps += find_lost_bounds(found, register, path)
    if context:
        notes.append("R1 is the context there, as the program was called with it")
    elif not steps and register != "R10":
        notes.append(
            f"nothing on the path that the log shows writes {register}" + (f": {path.cut}" if path.cut else "")
        )
    elif not ended and path.cut is not None:
        notes.append(f"the register's history does not begin in this log: {path.cut}")
    if not path.has_states:
        notes.append("the log has no register states; load with log level 2 for more")
    return sort_steps(steps, notes)


def describe_contents(visit: PathInsn, name: str, target: FollowedValue) -> str:
    """What a register holds after an instruction, in words, where the log says it."""
    text = visit.after.get(name) if target.described else None
    return "" if text is None else f": {describe(text)}"


def effect_on(
    visit: PathInsn, following: PathInsn, target: FollowedValue, number: int, visits: list[PathInsn]
) -> Effect | None:
    """What an instruction did to the value that is followed, or None where it did nothing to it.

    ``target`` is changed: to the register or slot that held the value before the instruction.
    """
    instruction = visit.instruction
    operation = instruction.operation
    if operation is Operation.EXIT and visit.depth == target.depth + 1:
        if target.name == "R0":
            target.depth += 1
            return None
        if target.name in {"R1", "R2", "R3", "R4", "R5"}:
            return Effect(
                f"{target.name} is lost: the function that returns here may have used it", "invalidated", True
            )
        return None
    if visit.depth < target.depth and operation is Operation.CALL:
        target.depth = visit.depth
        inside, outside = CALLBACKS.get(instruction.name or "", ("", ""))
        if target.name != inside:
            return Effect(f"{target.name} is what {instruction.name}() passes to its callback", "update", True)
        target.name = outside
        return Effect(
            f"{inside} is what {instruction.name}() is given as {outside} for its callback", "update", False
        )
    if visit.depth < target.depth:
        # A call of the function in which the target is followed: what it was before is in the caller.
        if target.name in {"R1", "R2", "R3", "R4", "R5"}:
            target.depth = visit.depth
            return Effect(f"{target.name} is passed as an argument", "update", False)
        return Effect(f"{target.name} is not set in the function that is called here", "note", True)
    if visit.depth != target.depth:
        return None
    if operation is Operation.CALL and following.depth == visit.depth:
        if target.name == "R0":
            return Effect(
                f"R0 is what {instruction.name}() returned{describe_contents(visit, 'R0', target)}", "update", True
            )
        if target.name in {"R1", "R2", "R3", "R4", "R5"}:
            return Effect(f"{target.name} is lost in the call of {instruction.name}()", "invalidated", True)
        if may_write(target.name, number, visits):
            return Effect(
                f"{instruction.name}() may have written to {target.name}, which it was given", "update", True
            )
        return None
    if operation is Operation.SPILL and instruction.slot == target.name:
        if instruction.reads is None:
            return Effect(f"a constant is stored at {instruction.slot}", "spilled", True)
        message = (
            f"{instruction.reads} is saved at {instruction.slot}{describe_contents(visit, instruction.reads, target)}"
        )
        target.name = instruction.reads
        return Effect(message, "spilled", False)
    if instruction.writes != target.name or operation in {Operation.SUBPROGRAM, Operation.BRANCH}:
        return None
    return effect_of_write(visit, instruction, target)


def effect_of_write(visit: PathInsn, instruction: Instruction, target: FollowedValue) -> Effect:
    """What an instruction wrote to the target."""
    name = target.name
    operation = instruction.operation
    now = describe_contents(visit, name, target)
    if operation is Operation.COPY and instruction.reads is not None:
        half = " (the lower half of it)" if instruction.half else ""
        target.name = instruction.reads
        return Effect(f"{name} is a copy of {instruction.reads}{half}{now}", "update", False)
    if operation is Operation.ALU:
        other = instruction.reads
        text = None
        if other is not None and target.described:
            text = visit.after.get(other) or visit.before.get(other)
        by = f" by {other}, {describe(text)}" if text is not None else ""
        return Effect(f"{name} is changed{by}{now}", "update", False)
    if operation is Operation.FILL and instruction.slot is not None:
        target.name = instruction.slot
        return Effect(f"{name} is loaded from {instruction.slot}{now}", "update", False)
    if operation is Operation.LOAD and instruction.address is not None:
        return Effect(f"{name} is read from memory{now}", "update", True)
    return Effect(f"{name} is set here{now}", "update", True)
