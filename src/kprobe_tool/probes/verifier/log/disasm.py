# SPDX-License-Identifier: GPL-2.0-or-later
"""What an instruction does, read from its disassembly (kernel/bpf/disasm.c)."""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple


class Operation(Enum):
    """The kinds of instructions that a path is followed through."""

    COPY = auto()
    CONSTANT = auto()
    ALU = auto()
    LOAD = auto()
    FILL = auto()
    """A load from a slot of the stack, at a constant offset from R10."""
    SPILL = auto()
    STORE = auto()
    CALL = auto()
    SUBPROGRAM = auto()
    BRANCH = auto()
    GOTO = auto()
    EXIT = auto()
    OTHER = auto()


class Instruction(NamedTuple):
    """One instruction: the register it writes, the one it reads; ``half`` where these are only their lower 32 bits.

    ``slot`` is such as ``fp-8`` for fills and spills; ``name`` is the function of a call; a branch compares ``reads``
    with the register ``compared_to`` or with the constant ``operand``; ``address`` is what a load reads, as text.
    """

    operation: Operation
    writes: str | None = None
    reads: str | None = None
    half: bool = False
    slot: str | None = None
    name: str | None = None
    compared_to: str | None = None
    operator: str | None = None
    operand: str | None = None
    offset: int = 0
    address: str | None = None


COPY = re.compile(r"([rw])(\d{1,2}) = (\(s\d{1,2}\))?([rw])(\d{1,2})")
CONSTANT = re.compile(r"([rw])(\d{1,2}) = (?:-?\d{1,20}|0x[0-9a-f]{1,16}|map\[.{1,80}\].{0,40})(?: ll)?")
LOAD = re.compile(r"([rw])(\d{1,2}) = (\*\((\w{1,8}) \*\)\(r(\d{1,2}) ([+-]\d{1,6})\))")
ALU = re.compile(r"([rw])(\d{1,2}) (\S{1,5}=) (?:\(s\d{1,2}\))?(?:([rw])(\d{1,2})|.{1,40})")
UNARY = re.compile(r"([rw])(\d{1,2}) = (?:-|[a-z]{2,5}\d{2} )([rw])(\d{1,2})")
STORE = re.compile(r"\*\(\w{1,8} \*\)\(r(\d{1,2}) ([+-]\d{1,6})\) = (?:r(\d{1,2})|-?\w{1,20})")
FETCH = re.compile(r"r(\d{1,2}) = (?:atomic|load_acquire|addr_space_cast).{0,120}")
CALL = re.compile(r"call (pc[+-]\d{1,9}|\S{1,160})")
BRANCH = re.compile(
    r"if ([rw])(\d{1,2}) (\S{1,3}) (?:([rw])(\d{1,2})|(-?(?:0x)?[0-9a-f]{1,16})) goto (?:pc)?([+-]\d{1,7})"
)
GOTO = re.compile(r"(?:may_)?gotol? (?:pc)?([+-]\d{1,9})")


@lru_cache(maxsize=4096)
def parse_instruction(text: str) -> Instruction:
    """The instruction of a disassembly; OTHER where its text has none of the forms known here."""
    text = text[:200]
    if text == "exit":
        return Instruction(Operation.EXIT)
    if found := CALL.fullmatch(text):
        if found[1].startswith("pc"):
            return Instruction(Operation.SUBPROGRAM, writes="R0", name=found[1])
        return Instruction(Operation.CALL, writes="R0", name=found[1].partition("#")[0])
    if found := BRANCH.fullmatch(text):
        return Instruction(
            Operation.BRANCH,
            reads=f"R{found[2]}",
            half=found[1] == "w",
            compared_to=f"R{found[5]}" if found[5] else None,
            operator=found[3],
            operand=found[6],
            offset=int(found[7]),
        )
    if found := GOTO.fullmatch(text):
        return Instruction(Operation.GOTO, offset=int(found[1]))
    return parse_assignment(text)


def parse_assignment(text: str) -> Instruction:
    """The same for instructions that move values or change them: copies, loads, stores, arithmetic."""
    if found := COPY.fullmatch(text):
        half = "w" in {found[1], found[4]} or found[3] is not None
        return Instruction(Operation.COPY, f"R{found[2]}", f"R{found[5]}", half=half)
    if found := CONSTANT.fullmatch(text):
        return Instruction(Operation.CONSTANT, f"R{found[2]}")
    if found := LOAD.fullmatch(text):
        writes, base, offset = f"R{found[2]}", f"R{found[5]}", int(found[6])
        if base == "R10" and offset < 0:
            return Instruction(Operation.FILL, writes, slot=f"fp{offset}", address=found[3])
        return Instruction(Operation.LOAD, writes, base, address=found[3])
    if found := UNARY.fullmatch(text):
        return Instruction(Operation.ALU, f"R{found[2]}", half=found[1] == "w", operator="=")
    if found := ALU.fullmatch(text):
        reads = f"R{found[5]}" if found[5] else None
        return Instruction(Operation.ALU, f"R{found[2]}", reads, half=found[1] == "w", operator=found[3])
    if found := STORE.fullmatch(text):
        reads = f"R{found[3]}" if found[3] else None
        if found[1] == "10":
            return Instruction(Operation.SPILL, reads=reads, slot=f"fp{int(found[2])}")
        return Instruction(Operation.STORE, reads=reads)
    if found := FETCH.fullmatch(text):
        return Instruction(Operation.LOAD, f"R{found[1]}")
    return Instruction(Operation.OTHER)
