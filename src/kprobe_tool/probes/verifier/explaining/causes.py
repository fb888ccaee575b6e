# SPDX-License-Identifier: GPL-2.0-or-later
"""The cause behind a message, where the log shows it: what made the value, and what the author meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.explaining.calls import (
    expected_argument,
    memory_and_size,
    misconfigured,
    missing_map,
    not_for_type,
    not_released,
    percpu_kptr,
    too_many_frames,
    wrong_map,
)
from kprobe_tool.probes.verifier.explaining.causal import follow, register_of
from kprobe_tool.probes.verifier.explaining.cause import Cause, Found
from kprobe_tool.probes.verifier.explaining.contexts import context
from kprobe_tool.probes.verifier.explaining.numbers import number_cause, register_with_number
from kprobe_tool.probes.verifier.explaining.objects import (
    map_object,
    object_bounds,
    object_on_stack,
    opcode,
    pointer_arithmetic,
    pointer_bitwise,
    pointer_minus,
    pointer_shift,
    read_beyond_variable,
)
from kprobe_tool.probes.verifier.explaining.origins import origin_of, state_of
from kprobe_tool.probes.verifier.explaining.packets import packet_cause
from kprobe_tool.probes.verifier.explaining.pointers import never_set, null_not_checked, number_as_pointer
from kprobe_tool.probes.verifier.log.disasm import Instruction, Operation
from kprobe_tool.probes.verifier.log.path import InsnPath
from kprobe_tool.probes.verifier.messages.row import Match

CHANGES = re.compile(r"^(?:lock )?\*\(|atomic|xchg")
"""Instructions that change memory."""


def find_cause(match: Match, message: str, details: tuple[str, ...], path: InsnPath) -> Cause | None:
    """The cause behind a message, or None where the log shows none."""
    instruction = path.visits[-1].instruction if path.visits else Instruction(Operation.OTHER)
    found = Found(match, message, details, path, register_of(match, match.row.follow, instruction))
    find = BY_RULE.get(match.row.rule)
    cause = None if find is None else find(found)
    return checked_alone(found, cause) or cause


def checked_alone(found: Found, cause: Cause | None) -> Cause | None:
    """An argument of a global function, which is checked for all that its declaration lets through."""
    path, register = found.path, found.register
    if path.function is None or register is None or not path.visits:
        return None
    if BY_RULE.get(found.match.row.rule) is number_cause:
        register = register_with_number(found, register)
    origin = origin_of(path, register, len(path.visits) - 1)
    if origin.number is not None or origin.name not in {"R1", "R2", "R3", "R4", "R5"}:
        return None
    number = int(origin.name[1:])
    declared = (
        " Behind a pointer it may use as many bytes as the declared type has (of char *, 1)."
        if found.match.group.problem == "Access outside bounds"
        else ""
    )
    reason = (cause.reason if cause is not None else "") or found.match.reason()
    return Cause(
        f"{reason} It comes from argument {number} of {path.function}(), a global function: such a function is "
        "checked once and on its own, for every argument that its declaration allows, and what its callers have "
        f"checked does not count.{declared}",
        f"Check the argument inside of {path.function}() (a pointer for NULL, a number for its limits), or make the "
        "function static, then it is checked where it is called. __arg_nonnull and __arg_trusted (bpf_helpers.h, "
        "from Linux v6.8 on) declare what callers must pass.",
        CauseClass.SOURCE,
        f"the path begins at {path.function}(), and nothing sets {origin.name} on it",
    )


def dereference(found: Found) -> Cause | None:
    register = found.register or found.match.fields.get("arg")
    if register is None:
        return None
    return number_as_pointer(register, found.path, f"it is used as an address ({found.text or 'here'})")


def typed_dereference(found: Found) -> Cause | None:
    """Kernels up to 4.x call a constant ``imm``, and a number ``inv``."""
    return dereference(found) if found.match.fields.get("type") in {"imm", "inv", "unknown_value"} else None


def misaligned(found: Found) -> Cause | None:
    """An access through a number is called misaligned, as nothing is known of it."""
    base = re.search(r"\(r(\d{1,2}) [+-]\d", found.text)
    if base is None:
        return None
    state = state_of(found.path, f"R{base[1]}", len(found.path.visits) - 1)
    if state is None or not (state.scalar or state.type.startswith(("ptr_", "untrusted_ptr_"))):
        return None
    if state.scalar and not CHANGES.search(found.text):
        return number_as_pointer(f"R{base[1]}", found.path, "it is used as an address")
    return Cause(
        f"R{base[1]} points into memory of the kernel or of a process of which the verifier knows nothing more, and "
        "this instruction would change it; the alignment is only the first thing that it complains of.",
        "BPF programs may not change such memory: keep the state in a map, and change it there.",
        CauseClass.SOURCE,
        f"R{base[1]} is of type {state.type}",
    )


def argument_type(found: Found) -> Cause | None:
    fields, register = found.match.fields, found.register
    expected, got = fields["list"], fields["type"]
    helper = (found.instruction.name if found.instruction else None) or "the function"
    if helper.isdigit():
        helper = f"helper #{helper}"
    elif found.instruction is not None and found.instruction.name:
        helper += "()"
    if register is None:
        return None
    if got in {"inv", "scalar", "imm", "unknown_value"}:
        lost = invalid_since(found, register)
        if lost is not None:
            return lost
        if expected == "map_ptr":
            return missing_map(register, helper)
        cause = number_as_pointer(register, found.path, f"{helper} wants a pointer there ({expected})")
        if cause is not None and "map_" in helper and register == "R2" and "constant 0" in cause.reason:
            return Cause(
                cause.reason,
                "Pass the address of a key; maps without keys (queue, stack) are used with bpf_map_push_elem(), "
                "bpf_map_pop_elem() and bpf_map_peek_elem().",
                cause.cause_class,
                cause.evidence,
            )
        return cause
    if "or_null" in got:
        cause = null_not_checked(register, found.path)
        reason = f"{register} may be NULL ({got}), and {helper} does not take NULL."
        return Cause(
            f"{reason} {cause.reason}".rstrip() if cause else reason,
            (cause.suggestion if cause else None) or "Compare it with NULL, and call only where it is not NULL.",
            cause.cause_class if cause else CauseClass.UNKNOWN,
            cause.evidence if cause else None,
        )
    named = expected_argument((found.instruction.name if found.instruction else None) or "", register, got, expected)
    if named is not None:
        return named
    if got == "fp" and "ptr_" in expected:
        return Cause(
            f"{helper} wants the kernel's own object ({expected}), and {register} points to the program's "
            "stack: to a copy, or to a variable that holds the pointer.",
            "Pass the pointer to the kernel's object itself, as it was got (&file->f_path, not the address "
            "of a local copy of it).",
            CauseClass.SOURCE,
            f"{register} is a stack pointer",
        )
    if expected == "fp" and got in {"map_value", "pkt", "map_value_adj", "packet"}:
        return Cause(
            f"This kernel lets {helper} work on the stack only (it wants fp), and {register} points to a "
            f"{'map value' if got.startswith('map') else 'packet'}. Newer kernels take that too.",
            "Use a variable on the stack, and copy between it and the map value; or a newer kernel.",
            CauseClass.ENVIRONMENT,
            f"the kernel names fp alone as what {helper} takes",
        )
    return None


def invalid_since(found: Found, register: str) -> Cause | None:
    """A register that was a pointer, where the causal path has the instruction that took the pointer away."""
    lost = next((event for event in follow(found.match, found.path).events if event.kind == "invalidated"), None)
    if lost is None or lost.place.insn is None:
        return None
    return Cause(
        f"{register} was a pointer, and is none any more since instruction {lost.place.insn}: {lost.message}.",
        "Read data and data_end from the context again after that instruction, and repeat the comparison before the "
        "packet is used; what is needed of the old contents is kept in variables before it."
        if "packet" in lost.message
        else "Do what needs the object before it is given back, and give it back once; where another is meant, get "
        "one (a second bpf_ringbuf_reserve(), another lookup)."
        if "back" in lost.message
        else "Do what needs the pointer before that instruction, or look the object up again after it.",
        CauseClass.SOURCE,
        f"instruction {lost.place.insn} takes the pointer away",
    )


def scalar(found: Found) -> Cause | None:
    lost = invalid_since(found, found.register) if found.register else None
    return lost or dereference(found)


def null(found: Found) -> Cause | None:
    if found.register is None:
        return None
    cause = null_not_checked(found.register, found.path)
    if cause is None or not cause.reason:
        return cause
    return Cause(f"{found.match.reason()} {cause.reason}", cause.suggestion, cause.cause_class, cause.evidence)


def unreadable(found: Found) -> Cause | None:
    return never_set(found.register, found.path, found.text) if found.register else None


def packet(found: Found) -> Cause | None:
    return packet_cause(found.message, found.details, found.path)


BY_RULE: Mapping[str, Callable[[Found], Cause | None]] = {
    "scalar-dereference": scalar,
    "invalid-dereference": typed_dereference,
    "misaligned": misaligned,
    "argument-type": argument_type,
    "null-dereference": null,
    "argument-may-be-null": null,
    "unreadable-register": unreadable,
    "pointer-operator": pointer_shift,
    "stack-uninitialized": object_on_stack,
    "argument-memory": memory_and_size,
    "unreleased-reference": not_released,
    "leaking-reference": not_released,
    "packet-bounds": packet,
    "packet-access": packet,
    "bounds-minimum": object_bounds,
    "bounds-maximum": object_bounds,
    "object-bounds": object_bounds,
    "kernel-read-only": map_object,
    "stack-out-of-frame": read_beyond_variable,
    "unknown-opcode": opcode,
    "pointer-arithmetic": pointer_arithmetic,
    "pointer-bitwise": pointer_bitwise,
    "pointer-offset-unbounded": pointer_minus,
    "context-access": context,
    "map-type": wrong_map,
    "kernel-misconfigured": misconfigured,
    "helper-not-for-type": not_for_type,
    "call-depth": too_many_frames,
    "kptr-type": percpu_kptr,
    **dict.fromkeys(
        (
            "size-negative",
            "size-unbounded",
            "bounds-negative",
            "bounds-unbounded",
            "pointer-offset-range",
            "stack-variable-unbounded",
        ),
        number_cause,
    ),
}
"""Rule of the table: who looks for the cause."""
