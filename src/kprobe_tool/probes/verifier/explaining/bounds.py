# SPDX-License-Identifier: GPL-2.0-or-later
"""Lost bounds: comparisons that were meant to bound a number, and do not bound the one that is used."""

from __future__ import annotations

from typing import NamedTuple

from kprobe_tool.probes.verifier.diagnosis import PathEvent
from kprobe_tool.probes.verifier.explaining.slots import argument_slots, may_write
from kprobe_tool.probes.verifier.log.disasm import Instruction, Operation
from kprobe_tool.probes.verifier.log.path import InsnPath, PathInsn
from kprobe_tool.probes.verifier.log.states import parse_value
from kprobe_tool.probes.verifier.messages.row import Match

SIGNED = frozenset({"s>", "s>=", "s<", "s<="})
EQUAL = frozenset({"==", "!=", "&"})
ENTRY = -1
"""The origin of what the program was called with: before the first visit of the path."""

Address = tuple[object, ...]


class TrackedNumber(NamedTuple):
    """A number in a register or slot, followed along the path.

    ``origin`` is the visit that made it, ``address`` the memory that it was read from, ``changes`` the visits that
    changed it since; visits are numbered as on the path.
    """

    origin: int
    address: Address | None = None
    changes: tuple[int, ...] = ()


class Comparison(NamedTuple):
    """A comparison at a visit of the path (its ``number``): the register, what it held, and how it was compared."""

    number: int
    register: str
    tested: TrackedNumber
    half: bool
    operator: str


def find_lost_bounds(found: Match, register: str, path: InsnPath) -> list[tuple[int, PathEvent]]:
    """The comparisons on the path that do not bound the number that the message is about."""
    if not found.row.lost_bound:
        return []
    # R1 holds the context. It is no number, but numbers are loaded through it.
    holds: dict[str, TrackedNumber] = {"R1": TrackedNumber(ENTRY)} if path.cut is None else {}
    tests: list[Comparison] = []
    added: dict[str, str] = {}
    used: dict[str, TrackedNumber] = {}
    for number, visit in enumerate(path.visits[:-1]):
        if visit.depth != 0:
            continue
        instruction = visit.instruction
        if instruction.operation is Operation.BRANCH and instruction.reads in holds:
            if instruction.operator not in EQUAL:
                tests.append(
                    Comparison(
                        number,
                        instruction.reads,
                        holds[instruction.reads],
                        instruction.half,
                        instruction.operator or "",
                    )
                )
        elif instruction.operation is Operation.ALU and instruction.reads in holds and instruction.operator == "+=":
            # A message about the sum of a pointer and a number is about the number.
            added[instruction.writes or ""] = instruction.reads
            used[instruction.writes or ""] = holds[instruction.reads]
        apply_instruction(holds, number, visit, instruction, path.visits)
    name = added.get(register, register)
    wanted = used.get(register) or holds.get(register)
    if wanted is None:
        return []
    return [event for test in tests if (event := lost_bound(test, name, wanted, path)) is not None][-2:]


def apply_instruction(
    holds: dict[str, TrackedNumber], number: int, visit: PathInsn, instruction: Instruction, visits: list[PathInsn]
) -> None:
    """What registers and slots hold after an instruction."""
    operation, writes, reads = instruction.operation, instruction.writes, instruction.reads
    if operation is Operation.CALL or operation is Operation.SUBPROGRAM:
        kept = [name for name in holds if name.startswith("fp") and may_write(name, number, visits)]
        for slot in (*kept, *argument_slots(number, visits)):
            holds[slot] = TrackedNumber(number, (slot,))
        for name in ("R1", "R2", "R3", "R4", "R5"):
            holds.pop(name, None)
        holds["R0"] = TrackedNumber(number)
    elif operation is Operation.SPILL and instruction.slot is not None:
        move_number(holds, reads, instruction.slot)
    elif operation is Operation.FILL and writes is not None and instruction.slot is not None:
        move_number(holds, instruction.slot, writes)
        if writes in holds and holds[writes].address is None:
            holds[writes] = holds[writes]._replace(address=(instruction.slot,))
    elif writes is None:
        return
    elif operation is Operation.COPY:
        move_number(holds, reads, writes)
        if instruction.half and writes in holds:
            holds[writes] = holds[writes]._replace(changes=(*holds[writes].changes, number))
    elif operation is Operation.ALU and writes in holds:
        holds[writes] = holds[writes]._replace(changes=(*holds[writes].changes, number))
    elif operation is Operation.LOAD:
        holds[writes] = TrackedNumber(number, address_of(instruction, holds))
    else:
        holds.pop(writes, None)


def address_of(instruction: Instruction, holds: dict[str, TrackedNumber]) -> Address | None:
    """What a load reads. Loads of the same memory have equal ones, whichever register holds its address."""
    text = instruction.address
    if text is None:
        return None
    base = holds.get(instruction.reads or "")
    size, _, rest = text.removeprefix("*(").partition(" ")
    place = rest.rpartition(" ")[2]
    return (size, place, base.origin, base.changes) if base is not None else (text,)


def move_number(holds: dict[str, TrackedNumber], source: str | None, target: str) -> None:
    if source in holds and source is not None:
        holds[target] = holds[source]
    else:
        holds.pop(target, None)


def lost_bound(test: Comparison, name: str, wanted: TrackedNumber, path: InsnPath) -> tuple[int, PathEvent] | None:
    """The event that says why a comparison does not bound the number; None where it does, or is about another."""
    tested = test.tested
    visit = path.visits[test.number]
    if tested.origin == wanted.origin:
        # A number that is computed from the compared one after the comparison inherits the bound.
        common = len(tested.changes)
        made_of_it = wanted.changes[:common] == tested.changes and all(
            number > test.number for number in wanted.changes[common:]
        )
        if not made_of_it:
            changed = [number for number in tested.changes if number not in wanted.changes]
            if changed:
                message = (
                    f"this compares {test.register} after instruction {path.visits[changed[-1]].insn} has changed "
                    f"it; {name} holds the value from before, or another one made of it, and gets no bound from this"
                )
            else:
                changed = [number for number in wanted.changes[common:] if number < test.number]
                message = (
                    f"this compares {test.register} as it was before instruction "
                    f"{path.visits[changed[-1]].insn if changed else visit.insn} made another number of it; {name} "
                    "holds that one, and gets no bound from this"
                )
        elif test.half:
            message = (
                f"this compares the lower 32 bits of {test.register} only; the upper half stays unknown, and all 64 "
                f"bits of {name} are used"
            )
        elif test.operator in SIGNED and lets_negatives_through(test, visit):
            message = f"this comparison is signed: it lets negative values of {test.register} through"
        else:
            return None
    elif tested.address is not None and tested.address == wanted.address:
        later = path.visits[wanted.origin]
        message = (
            f"this compares what stood in {wanted.address[0]} before; instruction {later.insn}, "
            f"{later.instruction.name}(), is given its address and may write to it, and the new value has no bound"
            if later.instruction.operation is Operation.CALL
            else f"this compares what was read before; instruction {later.insn} reads the same place again "
            f"({later.text}) into {name}, and the new value has no bound"
        )
    else:
        return None
    return test.number, PathEvent("lost-bound", message, visit.place())


def lets_negatives_through(test: Comparison, visit: PathInsn) -> bool:
    """Whether the number may still be negative after a signed comparison; yes where the log does not say."""
    text = visit.after.get(test.register)
    return text is None or parse_value(text).signed[0] < 0
