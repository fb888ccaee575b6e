# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a value came from: the instruction that made it, through copies and the stack."""

from __future__ import annotations

from typing import NamedTuple

from kprobe_tool.probes.verifier.explaining.causal import FollowedValue, effect_on
from kprobe_tool.probes.verifier.explaining.slots import stack_address
from kprobe_tool.probes.verifier.log.disasm import Operation
from kprobe_tool.probes.verifier.log.path import InsnPath, PathInsn
from kprobe_tool.probes.verifier.log.states import Value, parse_state, parse_value

CHANGES_MAX = 256
"""Steps of arithmetic that a value is followed back through: in a loop each round has some."""
DEPTH_MAX = 4
"""Loads whose address was itself loaded, and so on, that are followed back."""
ZERO = frozenset({"0", "0x0"})
LOOKUPS = frozenset({"bpf_map_lookup_elem", "1", "map_lookup_elem"})
KEY_MAX = 8
"""Bytes on either side of a key's address: a write there is taken for a write to the key."""


class Origin(NamedTuple):
    """What made a value.

    ``number`` is that of the visit on the path, None where none on it did; ``name`` the register or slot that held
    the value then, empty where it was not followed to its beginning; ``changed`` the numbers of the visits that did
    arithmetic with it since, the last one first.
    """

    number: int | None
    name: str
    changed: tuple[int, ...] = ()


def origin_of(path: InsnPath, name: str, end: int) -> Origin:
    """What made the value that a register or slot holds before visit number ``end`` of the path."""
    visits = path.visits
    target = FollowedValue(name, visits[end].depth if end < len(visits) else 0, described=False)
    changed: list[int] = []
    for number in range(end - 1, -1, -1):
        visit = visits[number]
        effect = effect_on(visit, visits[number + 1], target, number, visits)
        if effect is None:
            continue
        if visit.instruction.operation is Operation.ALU:
            changed.append(number)
            if len(changed) >= CHANGES_MAX:
                return Origin(None, "", tuple(changed))
        if effect.begins:
            return Origin(number, target.name, tuple(changed))
    return Origin(None, target.name, tuple(changed))


def state_of(path: InsnPath, name: str, end: int) -> Value | None:
    """What the log says of a register before visit number ``end``; None if it says nothing since the last write.

    Where the log has no instruction, it is the state before the message.
    """
    visits = path.visits
    if not visits:
        alone = parse_state(path.stopped).values.get(name)
        return None if alone is None else parse_value(alone)
    if end < len(visits) and (text := visits[end].before.get(name)) is not None:
        return parse_value(text)
    for number in range(end - 1, -1, -1):
        visit = visits[number]
        if visit.depth != (visits[end].depth if end < len(visits) else 0):
            continue
        if (text := visit.after.get(name)) is not None:
            return parse_value(text)
        if visit.instruction.writes == name:
            return None
    return None


def is_entry_value(path: InsnPath, origin: Origin) -> bool:
    """Whether a value is one that the program was called with: nothing on a whole path made it."""
    return origin.number is None and path.cut is None


def is_from_context(path: InsnPath, origin: Origin, depth: int = 0) -> bool:
    """Whether a value was loaded out of the context that the program was called with."""
    if origin.number is None or depth > DEPTH_MAX:
        return False
    visit = path.visits[origin.number]
    base = visit.instruction.reads
    if visit.instruction.operation is not Operation.LOAD or base is None:
        return False
    state = state_of(path, base, origin.number)
    if state is not None:
        return state.type == "ctx"
    below = origin_of(path, base, origin.number)
    return is_entry_value(path, below) and below.name == "R1" and not below.changed


def is_same_read(path: InsnPath, one: Origin, other: Origin) -> bool:
    """Whether two values were read from the same memory, or by two lookups of the same key."""
    if one.number is None or other.number is None or one.number == other.number:
        return False
    first, second = path.visits[one.number], path.visits[other.number]
    if first.depth != second.depth or first.instruction.operation is not second.instruction.operation:
        return False
    if first.instruction.operation is Operation.CALL:
        return is_same_lookup(path, one.number, other.number)
    if first.instruction.operation is not Operation.LOAD or first.instruction.address is None:
        return False
    base = (first.instruction.reads or "", second.instruction.reads or "")
    return size_and_offset(first) == size_and_offset(second) and origin_of(path, base[0], one.number) == origin_of(
        path, base[1], other.number
    )


def is_same_lookup(path: InsnPath, one: int, other: int) -> bool:
    """Whether two calls look up the same key in the same map, and nothing is written to the key between them."""
    first, second = path.visits[one], path.visits[other]
    if first.instruction.name != second.instruction.name or first.instruction.name not in LOOKUPS:
        return False
    maps = [map_of_call(path, number) for number in (one, other)]
    keys = [stack_address("R2", number, path.visits) for number in (one, other)]
    if None in maps or None in keys or maps[0] != maps[1] or keys[0] != keys[1]:
        return False
    between = path.visits[min(one, other) + 1 : max(one, other)]
    written = [visit.instruction.slot for visit in between if visit.instruction.operation is Operation.SPILL]
    return all(abs(int(slot[2:]) - (keys[0] or 0)) >= KEY_MAX for slot in written if slot is not None)


def map_of_call(path: InsnPath, number: int) -> str | None:
    """Which map a call is given in R1, as text that is the same for the same map."""
    origin = origin_of(path, "R1", number)
    if origin.number is None or origin.changed:
        return None
    made = path.visits[origin.number]
    return made.after.get("R1") or made.text


def size_and_offset(visit: PathInsn) -> tuple[str, str] | None:
    """(size, offset) of what a load reads: ``*(u32 *)(r1 +4)``."""
    address = visit.instruction.address
    if address is None:
        return None
    size, _, rest = address.removeprefix("*(").partition(" ")
    return size, rest.rpartition(" ")[2].rstrip(")")


def constant_of(path: InsnPath, origin: Origin) -> int | None:
    """The number that an instruction sets, where it is one."""
    if origin.number is None:
        return None
    visit = path.visits[origin.number]
    text = visit.text.rpartition(" = ")[2].removesuffix(" ll")
    if visit.instruction.operation not in {Operation.CONSTANT, Operation.SPILL}:
        return None
    try:
        return int(text, 0)
    except ValueError:
        return None


def null_comparisons(path: InsnPath) -> list[tuple[int, str]]:
    """(number, register) of every comparison with 0 on the path."""
    return [
        (number, visit.instruction.reads)
        for number, visit in enumerate(path.visits[:-1])
        if visit.instruction.operation is Operation.BRANCH
        and visit.instruction.operand in ZERO
        and visit.instruction.operator in {"==", "!="}
        and visit.instruction.reads is not None
    ]
