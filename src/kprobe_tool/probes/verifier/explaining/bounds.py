# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparisons that were meant to bound a number and do not: where a bound was lost."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kprobe_tool.probes.verifier.diagnosis import PathEvent
from kprobe_tool.probes.verifier.log.disasm import Instruction, Operation
from kprobe_tool.probes.verifier.log.path import InsnPath, PathInsn
from kprobe_tool.probes.verifier.messages.row import Match

SIGNED = frozenset({"s>", "s>=", "s<", "s<="})
EQUAL = frozenset({"==", "!=", "&"})


@dataclass(frozen=True)
class Number:
    """A number in a register: where it was made, what from, and where it was changed since, if it was."""

    origin: int
    address: str | None = None
    changed: int | None = None


@dataclass(frozen=True)
class Test:
    """A comparison of a number with something."""

    number: int
    register: str
    tested: Number
    half: bool
    operator: str


def lost_bounds(found: Match, register: str, path: InsnPath) -> list[tuple[int, PathEvent]]:
    """The comparisons on the path that do not bound the number that the message is about."""
    if not found.row.lost_bound:
        return []
    holds: dict[str, Number] = {}
    tests: list[Test] = []
    added: dict[str, str] = {}
    used: dict[str, Number] = {}
    for number, visit in enumerate(path.visits[:-1]):
        if visit.depth != 0:
            continue
        instruction = visit.instruction
        if instruction.operation is Operation.BRANCH and instruction.reads in holds:
            if instruction.operator not in EQUAL:
                tests.append(
                    Test(
                        number,
                        instruction.reads,
                        holds[instruction.reads],
                        instruction.half,
                        instruction.operator or "",
                    )
                )
        elif instruction.operation is Operation.ALU and instruction.reads in holds and instruction.operator == "+=":
            # A number is added to what may be a pointer: this is the number that counts for it.
            added[instruction.writes or ""] = instruction.reads
            used[instruction.writes or ""] = holds[instruction.reads]
        apply(holds, number, visit, instruction)
    name = added.get(register, register)
    wanted = used.get(register) or holds.get(register)
    if wanted is None:
        return []
    return [event for test in tests if (event := failure_of(test, name, wanted, path)) is not None][-2:]


def apply(holds: dict[str, Number], number: int, visit: PathInsn, instruction: Instruction) -> None:
    """What registers and slots hold after an instruction."""
    operation, writes, reads = instruction.operation, instruction.writes, instruction.reads
    if operation is Operation.CALL or operation is Operation.SUBPROGRAM:
        for name in ("R1", "R2", "R3", "R4", "R5"):
            holds.pop(name, None)
        holds["R0"] = Number(number)
    elif operation is Operation.SPILL and instruction.slot is not None:
        move(holds, reads, instruction.slot)
    elif operation is Operation.FILL and writes is not None and instruction.slot is not None:
        move(holds, instruction.slot, writes)
    elif writes is None:
        return
    elif operation is Operation.COPY:
        move(holds, reads, writes)
        if instruction.half and writes in holds:
            holds[writes] = replace(holds[writes], changed=number)
    elif operation is Operation.ALU and writes in holds:
        holds[writes] = replace(holds[writes], changed=number)
    elif operation is Operation.LOAD:
        holds[writes] = Number(number, instruction.address)
    else:
        holds.pop(writes, None)


def move(holds: dict[str, Number], source: str | None, target: str) -> None:
    if source in holds and source is not None:
        holds[target] = holds[source]
    else:
        holds.pop(target, None)


def failure_of(test: Test, name: str, wanted: Number, path: InsnPath) -> tuple[int, PathEvent] | None:
    """Why a comparison does not bound the number, or None where it does or is about another one."""
    tested = test.tested
    visit = path.visits[test.number]
    if tested.origin == wanted.origin:
        if tested.changed is not None and tested.changed != wanted.changed:
            insn = path.visits[tested.changed].insn
            message = (
                f"this compares {test.register} after instruction {insn} has changed it; {name} holds the value from "
                "before, or another one made of it, and gets no bound from this"
            )
        elif test.half and tested.changed == wanted.changed:
            message = (
                f"this compares the lower 32 bits of {test.register} only; the upper half stays unknown, and all 64 "
                f"bits of {name} are used"
            )
        elif test.operator in SIGNED and tested == wanted:
            message = f"this comparison is signed: it lets negative values of {test.register} through"
        else:
            return None
    elif tested.address is not None and tested.address == wanted.address:
        insn = path.visits[wanted.origin].insn
        message = (
            f"this compares what was read before; instruction {insn} reads {wanted.address} again into {name}, and "
            "the new value has no bound"
        )
    else:
        return None
    return test.number, PathEvent("lost-bound", message, visit.place())
