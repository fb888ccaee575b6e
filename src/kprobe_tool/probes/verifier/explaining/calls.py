# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that are wrong for the map, the program's type or the kind of memory they are given."""

from __future__ import annotations

import re
from typing import NamedTuple

from kprobe_tool.probes.verifier.diagnosis import Category, CauseClass
from kprobe_tool.probes.verifier.explaining.cause import Cause, Rejection
from kprobe_tool.probes.verifier.explaining.functions import MAP_TYPES, MAPS_OF, RELEASE, TRACING, TYPES_OF, USED_WITH
from kprobe_tool.probes.verifier.explaining.nulls import explain_unchecked_null
from kprobe_tool.probes.verifier.explaining.origins import origin_of, state_of
from kprobe_tool.probes.verifier.explaining.pointers import (
    explain_invalidated,
    explain_number_as_pointer,
)
from kprobe_tool.probes.verifier.log.disasm import Operation
from kprobe_tool.probes.verifier.log.path import open_calls
from kprobe_tool.probes.verifier.log.states import describe
from kprobe_tool.probes.verifier.messages.table import match


class Expected(NamedTuple):
    """What a function wants as an argument.

    ``helper``, ``wanted`` and ``got`` are patterns: of the function's name, of the types that the message lists as
    expected, of the type that the argument has.
    """

    helper: str
    wanted: str
    got: str
    reason: str
    suggestion: str


EXPECTED = (
    Expected(
        r"bpf_(?:res_)?spin_(?:un)?lock\w{0,20}",
        ".*map_value.*",
        ".*",
        "A lock must lie in the value of a map, or in an object of bpf_obj_new(), where others can wait for it; "
        "{register} is {got}.",
        "Put a struct bpf_spin_lock into the map's value type, look the value up, compare it with NULL, and take "
        "&value->lock. A lock on the stack, in .bss or in a record of the ring buffer is none.",
    ),
    Expected(
        r"bpf_(?:timer|wq|task_work)_\w{1,24}",
        ".*map_value.*",
        ".*",
        "A timer or work item must lie in the value of a map, which outlives the program's run; {register} is {got}.",
        "Put it into the map's value type, look the value up, compare it with NULL, and pass its address there.",
    ),
    Expected(
        r".*",
        "map_ptr|map pointer|const_map_ptr",
        ".*",
        "The function wants the map itself here, and {register} is {got}.",
        "Pass the address of the map's definition (&map) first and the key second. Where it is a field of a "
        "structure or a variable, it is not known which map it is when the program is loaded.",
    ),
    Expected(
        r"bpf_ringbuf_(?:submit|discard)",
        ".*(?:ringbuf|alloc)_mem.*",
        ".*",
        "Only what bpf_ringbuf_reserve() returned can be given back to the ring buffer, and {register} is {got}.",
        "Reserve a record, compare it with NULL, fill it and submit that very pointer; what is on the stack or in "
        "a map is sent with bpf_ringbuf_output().",
    ),
    Expected(
        r".*",
        ".*percpu_ptr_.*",
        ".*",
        "The function wants a per-CPU object (of bpf_percpu_obj_new(), or a per-CPU variable of the kernel), and "
        "{register} is {got}.",
        "Pass the per-CPU pointer itself; bpf_this_cpu_ptr() and bpf_per_cpu_ptr() make of it one to the object of "
        "one CPU, which is read and written, and not handed on.",
    ),
    Expected(
        r".*",
        ".*",
        ".*percpu_ptr_.*",
        "{register} is a per-CPU pointer ({got}), which stands for as many objects as there are CPUs, and the "
        "function wants one of them.",
        "Take the object of one CPU first: bpf_this_cpu_ptr() or bpf_per_cpu_ptr(), and compare the result with "
        "NULL.",
    ),
    Expected(
        r"(?:bpf_)?map_\w{1,24}|bpf_\w{0,10}storage_\w{1,8}|[123]",
        "fp.*|.*map_value.*",
        "ctx|.*ptr_.*|pkt_end|map_ptr|func",
        "A key or value is read out of memory that the program may read as plain bytes: its stack, a map value, a "
        "packet. {register} is {got}.",
        "Copy what it points to into a variable on the stack (BPF_CORE_READ() or bpf_probe_read_kernel() for "
        "memory of the kernel), and pass that one's address; to use the pointer itself as a key, store it in a "
        "__u64 and pass that one's address.",
    ),
)
TYPES_IN_WORDS = {
    "fp": "an address on the program's stack",
    "ctx": "the program's context",
    "map_ptr": "the map itself",
    "map_value": "an address in a map value",
    "map_key": "an address in a map's key",
    "pkt": "an address in the packet",
    "pkt_end": "the packet's end",
    "scalar": "a number",
    "inv": "a number",
    "mem": "plain memory",
    "ringbuf_mem": "a record of the ring buffer",
    "func": "a function",
}


def explain_expected_argument(helper: str, register: str, got: str, wanted: str) -> Cause | None:
    """An argument of the wrong type, where both types together show what the author meant."""
    for row in EXPECTED:
        if (
            re.fullmatch(row.helper, helper)
            and re.fullmatch(row.wanted, wanted, re.DOTALL)
            and re.fullmatch(row.got, got)
        ):
            reason = row.reason.format(register=register, got=TYPES_IN_WORDS.get(got, f"of type {got}"))
            return Cause(
                reason, row.suggestion, CauseClass.SOURCE, f"{register} is of type {got} where {wanted} is wanted"
            )
    return None


def map_name(rejection: Rejection, register: str) -> str:
    """The name of the map in a register, in quotes, where the log has it."""
    if not rejection.path.visits:
        return ""
    state = state_of(rejection.path, register, len(rejection.path.visits) - 1)
    name = state.attributes.get("map") if state is not None else None
    return f" '{name}'" if name else ""


def explain_missing_map(register: str, helper: str) -> Cause:
    """A number where the map is wanted: the loader puts the map there."""
    return Cause(
        f"{helper} wants a map there, and {register} is a number: the loader did not put the map into the "
        "instruction that refers to it, or the program got the map's address from somewhere else.",
        "Define the map in the object as its loader wants it (libbpf: in the section .maps, as a variable of its own "
        "and not within a function or structure), pass its address itself, and let the loader do the relocations.",
        CauseClass.UNKNOWN,
    )


def map_types_of(helper: str) -> str | None:
    """The types of maps that a helper works on, if only on some."""
    return next((types for pattern, types in MAPS_OF if re.fullmatch(pattern, helper)), None)


def explain_wrong_map(rejection: Rejection) -> Cause | None:
    """A map of a type that the helper does not work on."""
    number, helper = int(rejection.match.fields["number"]), rejection.match.fields["func"]
    type_ = MAP_TYPES[number] if number < len(MAP_TYPES) else None
    named = f"BPF_MAP_TYPE_{type_}" if type_ else f"number {number} of enum bpf_map_type"
    wanted = map_types_of(helper)
    register = "R1" if helper.startswith(("bpf_map_", "bpf_redirect_map")) else "R2"
    reason = f"{helper}() does not work on a map of type {named}" + (
        f"; it wants one of type {wanted} (BPF_MAP_TYPE_...)." if wanted else "."
    )
    suggestion = f"Declare the map{map_name(rejection, register)} as one of type {wanted}." if wanted else ""
    if type_ in USED_WITH and USED_WITH[type_].partition("(")[0] != helper:
        suggestion += f" A map of type {type_} is used with {USED_WITH[type_]}."
    return Cause(
        reason,
        suggestion.strip() or None,
        CauseClass.SOURCE,
        f"the kernel names the map's type, {number}, and the helper",
    )


def explain_misconfigured(rejection: Rejection) -> Cause | None:
    """A tail call with a map that is no array of programs, which the kernel reports as a fault of its own."""
    call = rejection.path.visits[-1] if rejection.path.visits else None
    if call is None or call.instruction.operation is not Operation.CALL:
        return None
    if not re.fullmatch(r"bpf_tail_call|12", call.instruction.name or ""):
        return None
    return Cause(
        f"bpf_tail_call() is given a map{map_name(rejection, 'R2')} that is no array of programs: the message "
        "speaks of the kernel, and what is wrong is the type of this map.",
        "Declare the map with BPF_MAP_TYPE_PROG_ARRAY (key and value of 4 bytes), and put the programs into it "
        "from user space.",
        CauseClass.SOURCE,
        f"instruction {call.insn} is a tail call, of which record_func_key() says this for any other map",
        (Category.CALL, "Helper does not take this map"),
    )


def explain_missing_helper(rejection: Rejection) -> Cause | None:
    """A helper that programs of this type may not call."""
    helper = rejection.match.fields["func"]
    types = next((types for pattern, types in TYPES_OF if re.fullmatch(pattern, helper)), None)
    if types is None:
        return None
    tracing = f" {TRACING}" if types.startswith("tracing") else ""
    return Cause(
        f"{helper}() is for {types}, and this program is of another type, or is loaded by one who may not use it, "
        "on this kernel.",
        "The section's name decides about the type, such as xdp, tc or kprobe: check that it is the one meant."
        f"{tracing} Where the program must be of its type, get the data in a program that has the helper and pass "
        "it through a map, or use a newer kernel ('bpftool feature probe' lists what each type may call).",
        CauseClass.ENVIRONMENT,
        "the message names a helper that programs of this type do not have",
    )


def explain_recursion(rejection: Rejection) -> Cause | None:
    """A function that is called while it is already active: more frames of calls than the kernel allows."""
    calls = open_calls(rejection.path)
    last = rejection.path.visits[-1] if rejection.path.visits else None
    if last is None or last.instruction.operation is not Operation.SUBPROGRAM:
        return None
    first = next((visit for visit in calls if visit.insn == last.insn), None)
    if first is None:
        return None
    chain = calls[calls.index(first) :]
    between = len(dict.fromkeys(visit.insn for visit in chain))
    how = (
        "itself"
        if between == 1
        else f"itself through {between - 1} other {'function' if between == 2 else 'functions'}"
    )
    return Cause(
        f"This is recursion: the function with instruction {last.insn} calls {how}, until "
        f"{rejection.match.fields['count']} calls are active at one time. BPF programs may not call themselves, "
        "however few times it would be.",
        "Make a loop of the recursion, with a stack of its own in an array or a map value where one is needed.",
        CauseClass.SOURCE,
        f"the call at instruction {last.insn} ({last.text}) is active more than once",
        (Category.STRUCTURE, "Recursive subprogram call"),
    )


def explain_unreleased(rejection: Rejection) -> Cause | None:
    """A reference that is still held at the end: what acquired it, and what gives it back."""
    insn = int(rejection.match.fields["insn"])
    place = rejection.path.place_at(insn)
    call = re.match(r"\(85\) call (\w{1,128})", (place.instruction or "") if place is not None else "")
    if call is None:
        return None
    name = call[1]
    release = next((by for pattern, by in RELEASE if re.fullmatch(pattern, name)), None)
    thrown = rejection.instruction is not None and rejection.instruction.name == "bpf_throw"
    ending = (
        "bpf_throw() ends the program and gives back nothing" if thrown else "this path ends without giving it back"
    )
    return Cause(
        f"What {name}() acquired at instruction {insn} (reference {rejection.match.fields['id']}) is still held "
        f"here, and {ending}.",
        "Give it back on every path"
        + (f" with {release}" if release else "")
        + ": the path below shows which branches lead past it, most often a return on an error or a filter after the "
        "acquisition.",
        CauseClass.SOURCE,
        f"instruction {insn} acquires it, and nothing on the path to the exit releases it",
    )


def explain_memory_and_size(rejection: Rejection) -> Cause | None:
    """Memory that is smaller than the size passed with it; an earlier line says which bytes are missing."""
    inner = next(
        (
            each
            for text in rejection.details
            if (each := match(text)) is not None and each.row.rule.startswith("stack-")
        ),
        None,
    )
    if inner is None:
        return None
    fields = inner.fields
    size = fields.get("size", "")
    part = fields.get("part")
    there = int(part) if part is not None and part.isdigit() else 0
    return Cause(
        f"{inner.reason()} {size} is the size that is passed for it."
        + (f" The variable that was written there has {there} bytes." if there else ""),
        (f"Pass its own size (sizeof the variable, {there}), or" if there else "Bound the size, or")
        + f" declare and initialize a buffer of {size} bytes.",
        CauseClass.SOURCE,
        "the message before it names bytes of the stack that nothing has written",
    )


def explain_percpu_kptr(rejection: Rejection) -> Cause | None:
    """A per-CPU pointer where a pointer to a single object is wanted, or the other way round."""
    fields = rejection.match.fields
    register, got, wanted = fields["arg"], fields["type"], fields["list"]
    return explain_expected_argument("", register, got, wanted) if "percpu" in f"{got}{wanted}" else None


def explain_untyped_argument(rejection: Rejection) -> Cause | None:
    """An argument of a global function that is a pointer to nothing in particular."""
    if rejection.match.fields.get("text", "").split() != ["UNKNOWN"]:
        return None
    return Cause(
        f"{rejection.match.fields['arg']} of a global function is a void *, of which nobody knows how many bytes it "
        "leads to. A global function is checked alone, so its declaration has to tell.",
        "Declare the argument with its type: the context as what the program takes (struct __sk_buff *, struct "
        "xdp_md *), memory as a pointer to its structure; or make the function static.",
        CauseClass.SOURCE,
        "the type that the kernel names is none, which is how BTF says void",
    )


def explain_missing_context(rejection: Rejection) -> Cause | None:
    """A function that takes the context, and is given whatever was left in the register."""
    register = rejection.register
    if register is None or not rejection.path.visits:
        return None
    end = len(rejection.path.visits) - 1
    state = state_of(rejection.path, register, end)
    if state is None or state.type == "ctx":
        return None
    origin = origin_of(rejection.path, register, end)
    text = rejection.path.visits[end].before.get(register) or next(
        (each for visit in reversed(rejection.path.visits[:-1]) if (each := visit.after.get(register)) is not None),
        "",
    )
    set_by = f" (set by instruction {rejection.path.visits[origin.number].insn})" if origin.number is not None else ""
    return Cause(
        f"{rejection.match.reason()} {register} is {describe(text)}{set_by}.",
        "Pass the context on unchanged. Where the source does, the compiler has left the argument out because the "
        'function does not use it: make use of it there (asm volatile("" :: "r"(ctx));), or take it out of the '
        "function's arguments.",
        CauseClass.UNKNOWN,
    )


def explain_argument_type(rejection: Rejection) -> Cause | None:
    fields, register = rejection.match.fields, rejection.register
    expected, got = fields["list"], fields["type"]
    helper = (rejection.instruction.name if rejection.instruction else None) or "the function"
    if helper.isdigit():
        helper = f"helper #{helper}"
    elif rejection.instruction is not None and rejection.instruction.name:
        helper += "()"
    if register is None:
        return None
    if got in {"inv", "scalar", "imm", "unknown_value"}:
        lost = explain_invalidated(rejection, register)
        if lost is not None:
            return lost
        if expected == "map_ptr":
            return explain_missing_map(register, helper)
        cause = explain_number_as_pointer(register, rejection.path, f"{helper} wants a pointer there ({expected})")
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
        cause = explain_unchecked_null(register, rejection.path)
        reason = f"{register} may be NULL ({got}), and {helper} does not take NULL."
        return Cause(
            f"{reason} {cause.reason}".rstrip() if cause else reason,
            (cause.suggestion if cause else None) or "Compare it with NULL, and call only where it is not NULL.",
            cause.cause_class if cause else CauseClass.UNKNOWN,
            cause.evidence if cause else None,
        )
    named = explain_expected_argument(
        (rejection.instruction.name if rejection.instruction else None) or "", register, got, expected
    )
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
