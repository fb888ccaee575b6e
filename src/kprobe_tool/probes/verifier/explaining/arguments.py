# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments of a call that lie where the function may not take them from, or that nothing has made."""

from __future__ import annotations

import re

from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.explaining.calls import TYPES_IN_WORDS, explain_expected_argument
from kprobe_tool.probes.verifier.explaining.cause import Cause, Rejection
from kprobe_tool.probes.verifier.explaining.origins import state_of
from kprobe_tool.probes.verifier.explaining.slots import ARGUMENTS, stack_address
from kprobe_tool.probes.verifier.log.disasm import Operation

PACKET = frozenset({"pkt", "pkt_meta"})
OUTPUT = re.compile(r"bpf_(?:perf_event|skb|xdp)_output|25")
"""Helpers that append bytes of the packet themselves: BPF_F_CTXLEN_MASK of include/uapi/linux/bpf.h."""
MAKES_DYNPTR = re.compile(r"bpf_(?:dynptr_(?:from_\w{1,24}|clone)|ringbuf_reserve_dynptr)")
GIVES_BACK = re.compile(r"bpf_ringbuf_(?:submit|discard)_dynptr")


def explain_packet_argument(rejection: Rejection) -> Cause | None:
    """A helper that may not read or write the packet through a pointer."""
    end = len(rejection.path.visits) - 1
    register = next(
        (
            name
            for name in ARGUMENTS
            if (state := state_of(rejection.path, name, end)) is not None and state.type in PACKET
        ),
        None,
    )
    if rejection.instruction is None or not rejection.instruction.name or register is None:
        return None
    name = rejection.instruction.name
    helper = f"helper #{name}" if name.isdigit() else f"{name}()"
    own = (
        "To send the packet's own bytes, write how many into the upper 32 bits of the flags (BPF_F_CTXLEN_MASK, "
        "(__u64)bytes << 32), and the helper appends them to what it is given; or copy them to the stack or a map "
        "value first."
    )
    copied = (
        "Copy the bytes to the stack first (bpf_skb_load_bytes(), bpf_xdp_load_bytes()), and pass the copy's address."
    )
    return Cause(
        f"{register} is an address in the packet, and {helper} takes none there, or not in this program type: what "
        "it is given must lie on the stack or in a map value.",
        own if OUTPUT.fullmatch(name) else copied,
        CauseClass.SOURCE,
        f"{register} is a packet pointer at the call of {helper}",
    )


def explain_outside_map_value(rejection: Rejection) -> Cause | None:
    """A lock, timer, work item or list that is not in the value of a map."""
    if rejection.instruction is None or rejection.register is None:
        return None
    state = state_of(rejection.path, rejection.register, len(rejection.path.visits) - 1)
    if state is None:
        return None
    named = explain_expected_argument(rejection.instruction.name or "", rejection.register, state.type, "map_value")
    if named is not None:
        return named
    got = TYPES_IN_WORDS.get(state.type, f"of type {state.type}")
    return Cause(
        f"{rejection.match.reason()} {rejection.register} is {got}.",
        None,
        CauseClass.SOURCE,
        f"{rejection.register} is of type {state.type}",
    )


def explain_uninitialized_dynptr(rejection: Rejection) -> Cause | None:
    """A dynptr that no function on the path has made, or that was given back."""
    path = rejection.path
    if rejection.instruction is None or path.cut is not None:
        return None
    end = len(path.visits) - 1
    # Which one 'arg #1' is depends on the kernel.
    names = ARGUMENTS if rejection.register is None else (rejection.register,)
    slots = {slot for name in names if (slot := stack_address(name, end, path.visits)) is not None}
    if len(slots) != 1:
        return None
    slot = slots.pop()
    calls = [
        (number, visit, visit.instruction.name or "")
        for number, visit in enumerate(path.visits[:end])
        if visit.instruction.operation is Operation.CALL
    ]
    for number, visit, name in reversed(calls):
        if GIVES_BACK.fullmatch(name) and stack_address("R1", number, path.visits) == slot:
            return Cause(
                f"The variable at offset {slot} of the stack holds no dynptr any more: {name}() (instruction "
                f"{visit.insn}) has given it back.",
                "Submit or discard each dynptr once, and use it only before; where another record is meant, reserve "
                "one.",
                CauseClass.SOURCE,
                f"instruction {visit.insn} gives the dynptr back",
            )
    if any(MAKES_DYNPTR.fullmatch(name) for _, _, name in calls):
        return None
    return Cause(
        f"The variable at offset {slot} of the stack is no dynptr yet: nothing on this path has made one.",
        "Make it first, with the address of that same variable: bpf_dynptr_from_skb(), bpf_dynptr_from_xdp(), "
        "bpf_dynptr_from_mem() or bpf_ringbuf_reserve_dynptr(). To set the variable to zero makes no dynptr of it.",
        CauseClass.SOURCE,
        "no call on the path makes a dynptr",
    )
