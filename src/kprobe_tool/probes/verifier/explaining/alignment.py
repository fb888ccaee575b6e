# SPDX-License-Identifier: GPL-2.0-or-later
"""Accesses that are not aligned: to the stack, and through pointers of which the verifier knows too little."""

from __future__ import annotations

import re

from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.explaining.cause import Cause, Rejection
from kprobe_tool.probes.verifier.explaining.origins import state_of
from kprobe_tool.probes.verifier.explaining.pointers import explain_number_as_pointer

CHANGES = re.compile(r"^(?:lock )?\*\(|atomic|xchg")
"""Instructions that change memory."""
OFFSETS = re.compile(r"(?<![\dx(; ])-?\d{1,6}(?![\dx)])")
"""The numbers of an offset as check_generic_ptr_alignment() prints it: 0+-16+4, or (0x0; 0x0)+-16+4."""


def explain_misaligned(rejection: Rejection) -> Cause | None:
    """A misaligned access. The kernel also calls an access through a number so: it knows nothing of its alignment."""
    stack = explain_misaligned_stack(rejection)
    if stack is not None:
        return stack
    base = re.search(r"\(r(\d{1,2}) [+-]\d", rejection.text)
    if base is None:
        return None
    state = state_of(rejection.path, f"R{base[1]}", len(rejection.path.visits) - 1)
    if state is None or not (state.scalar or state.type.startswith(("ptr_", "untrusted_ptr_"))):
        return None
    if state.scalar and not CHANGES.search(rejection.text):
        return explain_number_as_pointer(f"R{base[1]}", rejection.path, "it is used as an address")
    return Cause(
        f"R{base[1]} points into memory of the kernel or of a process of which the verifier knows nothing more, and "
        "this instruction would change it; the alignment is only the first thing that it complains of.",
        "BPF programs may not change such memory: keep the state in a map, and change it there.",
        CauseClass.SOURCE,
        f"R{base[1]} is of type {state.type}",
    )


def explain_misaligned_stack(rejection: Rejection) -> Cause | None:
    """An access to the stack at an offset that its size does not divide."""
    if rejection.match.fields.get("text", "").strip() != "stack":
        return None
    size = int(rejection.match.fields["size"])
    parts = [int(part) for part in OFFSETS.findall(rejection.match.fields["text2"])]
    # The constant part of what was added, that of the register, that of the instruction.
    at = sum(parts)
    if not parts or at % size == 0 or not -512 <= at < 0:
        return None
    return Cause(
        f"{size} bytes are accessed at offset {at} of the stack, which is no multiple of {size}; on the stack every "
        "access must be aligned, on every machine.",
        f"Align the variable, with __attribute__((aligned({size}))) behind its name, and let what is accessed as "
        f"{size} bytes begin at a multiple of {size} in it: reorder the fields, add padding, or leave out "
        "__attribute__((packed)). What is only copied is copied in parts of its own alignment (__builtin_memcpy() of "
        "single fields).",
        CauseClass.SOURCE,
        f"offset {at} is no multiple of {size}",
    )
