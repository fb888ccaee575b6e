# SPDX-License-Identifier: GPL-2.0-or-later
"""Slots of the stack that a call may write, since it is given their address."""

from __future__ import annotations

import re

from kprobe_tool.probes.verifier.log.disasm import Operation
from kprobe_tool.probes.verifier.log.path import PathInsn

ARGUMENTS = ("R1", "R2", "R3", "R4", "R5")
ARGUMENTS_BACK = 24
"""Instructions before a call in which its arguments are looked for."""
WRITTEN_MAX = 16
"""Bytes that a call is assumed to write at an address it is given: the log does not say how many it does."""
READS_ONLY = re.compile(
    r"bpf_(?:map_(?:lookup|update|delete|push)\w{0,20}|perf_event_output|ringbuf_output|trace_printk|trace_vprintk"
    r"|sk_storage_get|redirect\w{0,16}|tail_call|skb_store_bytes|csum_diff)|[123]|map_\w{0,20}"
)
"""Helpers that only read at the addresses they are given; early kernels print helpers as numbers."""
FRAME_POINTER = re.compile(r"fp(-\d{1,4})")
ADDED = re.compile(r"r\d{1,2} \+= (-?\d{1,6})")


def may_write(slot: str, number: int, visits: list[PathInsn]) -> bool:
    """Whether a call may write to a slot: it is given its address or one just below, and may do more than read."""
    if not slot.startswith("fp") or READS_ONLY.fullmatch(visits[number].instruction.name or ""):
        return False
    offsets = [offset for name in ARGUMENTS if (offset := stack_address(name, number, visits)) is not None]
    return any(offset <= int(slot[2:]) < offset + WRITTEN_MAX for offset in offsets)


def argument_slots(number: int, visits: list[PathInsn]) -> list[str]:
    """The slots whose addresses a call is given, if it may do more than read."""
    if READS_ONLY.fullmatch(visits[number].instruction.name or ""):
        return []
    offsets = [stack_address(name, number, visits) for name in ARGUMENTS]
    return [f"fp{offset}" for offset in offsets if offset is not None and offset < 0]


def stack_address(name: str, number: int, visits: list[PathInsn]) -> int | None:
    """The offset from the frame pointer that a register holds before a call, if it holds one."""
    offset = 0
    for before in range(number - 1, max(-1, number - ARGUMENTS_BACK), -1):
        visit = visits[before]
        instruction = visit.instruction
        if visit.depth != visits[number].depth or instruction.writes != name:
            continue
        pointer = FRAME_POINTER.fullmatch(visit.after.get(name, ""))
        if pointer is not None:
            return int(pointer[1]) + offset
        if instruction.operation is Operation.COPY and instruction.reads == "R10":
            return offset
        if instruction.operation is Operation.ALU and (added := ADDED.fullmatch(visit.text)) is not None:
            offset += int(added[1])
            continue
        return None
    return None
