# SPDX-License-Identifier: GPL-2.0-or-later
"""Sizes, indexes and offsets that have no bounds, or only one: which is missing, and where the number is from."""

from __future__ import annotations

import re

from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.explaining.causal import follow
from kprobe_tool.probes.verifier.explaining.cause import Cause, Rejection
from kprobe_tool.probes.verifier.explaining.origins import Origin, is_from_context, origin_of, state_of
from kprobe_tool.probes.verifier.log.disasm import Operation
from kprobe_tool.probes.verifier.log.path import InsnPath
from kprobe_tool.probes.verifier.log.states import S64_MIN, U32_MAX, Value, describe_number, parse_number, parse_value

VARIABLE_MAX = 1 << 29
"""BPF_MAX_VAR_SIZ and BPF_MAX_VAR_OFF: from here on no size or offset is tried at all."""
SIZES = frozenset({"size-negative", "size-unbounded"})
UNTRACKED = re.compile(r"[m0?]*m[m0?]*")
"""A slot of which the kernel knows only which bytes were written (print_verifier_state())."""
CALLED_BACK = frozenset({"bpf_loop"})
KEEP = (
    " Let the variable that is compared be the one that is used: assign it once, do not read it again from the "
    "context or from memory, and where the compiler makes copies of it put barrier_var(x) before the comparison."
)


def explain_unbounded_number(rejection: Rejection) -> Cause | None:
    """Why a number is not bounded, or only on one side."""
    if rejection.register is None:
        return None
    path = rejection.path
    if not path.visits:
        return explain_state_alone(rejection, rejection.register)
    register, end = register_with_number(rejection, rejection.register)
    state = state_of(path, register, end)
    origin = origin_of(path, register, end)
    if state is not None and not state.scalar and register == rejection.register:
        # No addition is on the path, so the register is the pointer; its state has the range of what was added.
        register, state = f"what was added to {register}", added_part(state)
    missing = describe_missing_bound(register, state, rejection)
    sentences = [missing, describe_origin(path, origin), describe_lost_range(path, origin)]
    lost = [event for event in follow(rejection.match, path).events if event.kind == "lost-bound"]
    cause_class, evidence = CauseClass.UNKNOWN, None
    other = None if lost else describe_other_comparison(path, register)
    if lost:
        place = lost[-1].place.insn
        sentences.append(f"The comparison at instruction {place} does not help: {lost[-1].message}.")
        cause_class, evidence = blame_comparison(lost[-1].message, place)
    elif other is not None:
        sentences.append(other)
    elif path.cut is None and origin.number is not None and not has_size_comparison(path, origin.number):
        cause_class = CauseClass.SOURCE
        evidence = f"nothing between instruction {path.visits[origin.number].insn} and here compares anything"
    reason = " ".join(part for part in sentences if part)
    low, high = state.signed if state is not None else (0, 0)
    only_lower = low < 0 and (high < VARIABLE_MAX or any("signed" in event.message for event in lost))
    advice = advise_lower_bound() if only_lower else advise_both_bounds(rejection, path, origin)
    reason = reason[:1].upper() + reason[1:]
    return Cause(reason, f"{advice}{KEEP if lost or other else ''}", cause_class, evidence) if reason else None


def explain_state_alone(rejection: Rejection, register: str) -> Cause | None:
    """The same from the registers, where the log has no instruction."""
    state = state_of(rejection.path, register, -1)
    if state is None:
        return None
    if not state.scalar:
        register, state = f"what was added to {register}", added_part(state)
    low, high = state.signed
    reason = describe_missing_bound(register, state, rejection)
    if not reason:
        return None
    only_lower = low < 0 and high < VARIABLE_MAX
    return Cause(
        reason[:1].upper() + reason[1:],
        advise_lower_bound() if only_lower else advise_both_bounds(rejection, rejection.path, Origin(None, "")),
    )


def register_with_number(rejection: Rejection, register: str) -> tuple[str, int]:
    """(register, number of the visit) of the number that was added last to the pointer, or of the register itself."""
    end = len(rejection.path.visits) - 1
    if rejection.match.row.rule.startswith(("size-", "pointer-offset")):
        return register, end
    for number_, visit in reversed([*enumerate(rejection.path.visits[:-1])]):
        instruction = visit.instruction
        if visit.depth != 0 or instruction.writes != register:
            continue
        if instruction.operation is Operation.ALU and instruction.operator == "+=" and instruction.reads is not None:
            added = state_of(rejection.path, instruction.reads, number_)
            return (instruction.reads, number_) if added is None or added.scalar else (register, end)
        if instruction.operation is not Operation.ALU:
            break
    return register, end


def added_part(state: Value) -> Value:
    """What a pointer's state says of the number that was added to it."""
    return Value("scalar", None, state.attributes)


def describe_missing_bound(register: str, state: Value | None, rejection: Rejection) -> str:
    """Which bound is missing, in numbers."""
    what = "The size in " if rejection.match.row.rule in SIZES else ""
    if state is None or not state.scalar:
        return rejection.match.reason()
    low, high = state.signed
    most = state.unsigned[1]
    half = state.bound("umax32")
    if low < 0 and high < VARIABLE_MAX:
        least = "any negative number" if low == S64_MIN else f"{low}"
        return (
            f"{what}{register} is {high} at the most and may be as low as {least}: it has an upper bound, and the "
            "lower one is missing."
        )
    if low >= 0 and most >= VARIABLE_MAX:
        return (
            f"{what}{register} is not negative but may be as large as {most}: the upper bound is missing "
            "(half a gigabyte or more counts as no bound)."
        )
    if half is not None and half < VARIABLE_MAX:
        return (
            f"Of {register} only the lower 32 bits are bounded (to {half} at the most); the upper half may be "
            "anything, and all 64 bits are used."
        )
    if low < 0:
        return f"{what}{register} may be any number here, also a negative one: neither bound is there."
    return ""


def describe_origin(path: InsnPath, origin: Origin) -> str:
    """A sentence about where the number is from; empty where that says nothing."""
    if origin.number is None:
        return describe_slot(path, origin.name)
    visit = path.visits[origin.number]
    name = visit.instruction.name or ""
    if visit.depth < path.visits[-1].depth or (
        visit.instruction.operation is Operation.CALL and origin.name != "R0" and not origin.name.startswith("fp")
    ):
        return (
            f"It is what {name}() passes to its callback (instruction {visit.insn}): of an index the verifier knows "
            "nothing there, whatever number of rounds is asked for."
            if name in CALLED_BACK
            else ""
        )
    if visit.instruction.operation is Operation.CALL and origin.name == "R0":
        return f"It is what {name}() returned (instruction {visit.insn}), which is negative for an error."
    if visit.instruction.operation is Operation.CALL:
        return f"{name}() has written it to the stack (instruction {visit.insn})."
    if is_from_context(path, origin):
        return f"It was read out of the context (instruction {visit.insn}, {visit.text})."
    if visit.instruction.operation is Operation.LOAD:
        return f"It was read from memory (instruction {visit.insn}, {visit.text})."
    return ""


def describe_slot(path: InsnPath, slot: str) -> str:
    """What it means that a number was kept on the stack, where the kernel has forgotten its range."""
    kept = next((text for visit in reversed(path.visits) if (text := visit.before.get(slot)) is not None), "")
    if not slot.startswith("fp") or not UNTRACKED.fullmatch(kept):
        return ""
    return (
        f"It was read back from the stack ({slot}), and of what is kept there the kernel knows no range any more "
        f"({kept}): a comparison from before counts no more."
    )


def describe_other_comparison(path: InsnPath, register: str) -> str | None:
    """A sentence where the last comparison of sizes on the path is about another register."""
    for place in range(len(path.visits) - 2, -1, -1):
        visit = path.visits[place]
        instruction = visit.instruction
        if visit.depth != 0 or instruction.operation is not Operation.BRANCH or instruction.operand is None:
            continue
        if instruction.reads == register or instruction.operator in {"==", "!=", "&"}:
            return None
        bound = parse_number(instruction.operand)
        mine = visit.after.get(register)
        if bound is None or mine is None or instruction.reads is None:
            return None
        return (
            f"The last comparison on this path (instruction {visit.insn}) is about {instruction.reads}, another "
            f"register, and {register} gets no bound from it: the compiler may hold the same variable in both."
        )
    return None


def has_size_comparison(path: InsnPath, first: int) -> bool:
    """Whether anything is compared by size from this visit of the path on."""
    return any(
        visit.instruction.operation is Operation.BRANCH and visit.instruction.operator not in {"==", "!="}
        for visit in path.visits[first:]
    )


def blame_comparison(message: str, place: int | None) -> tuple[CauseClass, str]:
    """Whose fault it is that a comparison does not bound the number, with the evidence."""
    if "signed" in message or "again" in message or "is given its address" in message:
        return CauseClass.SOURCE, f"instruction {place}: {message}"
    return CauseClass.VERIFIER_LIMIT, f"instruction {place} compares another copy than the one that is used"


def describe_lost_range(path: InsnPath, origin: Origin) -> str:
    """A sentence about the arithmetic with which this kernel lost a number's range; empty where there is none."""
    for place in origin.changed:
        visit = path.visits[place]
        name = visit.instruction.writes or ""
        before, after = state_of(path, name, place), visit.after.get(name)
        if before is None or after is None or not before.scalar or not is_bounded(before):
            continue
        if parse_value(after).scalar and not is_bounded(parse_value(after)):
            return (
                f"Up to instruction {visit.insn} ({visit.text}) it was {describe_number(before)}; this kernel "
                "does not follow what that makes of it."
            )
    return ""


def is_bounded(value: Value) -> bool:
    low, high = value.signed
    return low >= -U32_MAX and high <= U32_MAX


def advise_lower_bound() -> str:
    return (
        "Add the lower bound: if (x < 0) return ...; before the use, or hold x in an unsigned variable (__u32, "
        "__u64) where it is compared, so that one comparison does for both."
    )


def advise_both_bounds(rejection: Rejection, path: InsnPath, origin: Origin) -> str:
    """The comparison to write, with the limit where the object's size is known."""
    room = room_of(rejection)
    rule = rejection.match.row.rule
    called = (
        origin.number is not None
        and origin.name == "R0"
        and path.visits[origin.number].instruction.operation is Operation.CALL
    )
    negative = "if (x < 0) return ...; and then " if called else ""
    if rule in SIZES:
        limit = f"{room}) return ...; ({room} bytes are there from the pointer on)" if room else "MAX) return ...;"
        bound = f"if (x > {limit}"
    elif rule.startswith("pointer-offset") and rejection.match.fields.get("type", "").startswith("pkt"):
        bound = (
            "if (x > 1500) return ...; (or what the protocol allows), and compare the sum with data_end after that"
        )
    else:
        bound = f"if (x >= N) return ...; where N is the number of elements{describe_room(rejection)}"
    return f"Bound it directly before the use, as an unsigned number: {negative}{bound.rstrip(';')}."


def describe_room(rejection: Rejection) -> str:
    """How many bytes there are behind the pointer to which an offset is added, in parentheses; else empty."""
    if rejection.register is None:
        return ""
    state = state_of(rejection.path, rejection.register, len(rejection.path.visits) - 1)
    off = None if state is None else parse_number(state.attributes.get("off", "0"))
    if state is None or off is None:
        return ""
    if state.type == "fp":
        return f" (the array begins at fp{off} and has {-off} bytes at the most)" if off < 0 else ""
    whole = object_size(state)
    return f" (from there on the object has {whole - off} bytes)" if whole is not None and 0 <= off < whole else ""


def object_size(state: Value) -> int | None:
    """The bytes of what a pointer points into, where its state has them."""
    for name in ("vs", "sz", "mem_size"):
        size = parse_number(state.attributes[name]) if name in state.attributes else None
        if size:
            return size
    return None


def room_of(rejection: Rejection) -> int | None:
    """The bytes from a pointer to the end of its object, where the message is about the size passed with it."""
    if rejection.match.row.rule not in SIZES or rejection.register is None or not rejection.register[1:].isdigit():
        return None
    pointer = state_of(rejection.path, f"R{int(rejection.register[1:]) - 1}", len(rejection.path.visits) - 1)
    if pointer is None:
        return None
    whole = object_size(pointer)
    off = parse_number(pointer.attributes.get("off", "0"))
    if not whole or off is None or pointer.bound("umax") is not None or not 0 <= off < whole <= U32_MAX:
        return None
    return whole - off
