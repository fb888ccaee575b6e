# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers where a pointer is wanted, and registers that were never set: what made them."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.explaining.causal import follow
from kprobe_tool.probes.verifier.explaining.cause import Cause, Rejection
from kprobe_tool.probes.verifier.explaining.nulls import called_function, explain_null_and_offset
from kprobe_tool.probes.verifier.explaining.origins import (
    Origin,
    constant_of,
    is_entry_value,
    is_from_context,
    origin_of,
    state_of,
)
from kprobe_tool.probes.verifier.log.disasm import Operation
from kprobe_tool.probes.verifier.log.path import CALLS, InsnPath

ADDRESS_MIN = 1 << 47
"""Above this a constant is rather an address of the kernel than a number that somebody wrote."""
NULL_OFFSET_MAX = 1 << 16
"""Below this a constant pointer is rather NULL and the offset of a field."""
ZEROS = frozenset({"0", "00000000", "P0", "inv0", "invP0"})
"""How states show a slot of the stack that holds 0 (print_verifier_state())."""
READ_IT = (
    "Read it with BPF_CORE_READ() or bpf_probe_read_kernel(), memory of a process with bpf_probe_read_user(); fields "
    "of struct pt_regs with PT_REGS_PARMn_CORE(). Programs of types fentry, fexit, tp_btf and lsm get pointers that "
    "may be followed directly."
)
ARGUMENTS = frozenset({"R2", "R3", "R4", "R5"})


def explain_number_as_pointer(register: str, path: InsnPath, what: str) -> Cause | None:
    """A number that is used as a pointer, and where it came from; ``what`` ends "it is a number, and ..."."""
    if not path.visits:
        return Cause(
            f"{register} is a number for the verifier, not a pointer, and {what}. An address that was read "
            "out of the context, of kernel memory or of a process is such a number.",
            READ_IT + " Where it was a pointer before: take it again after what made a number of it.",
        )
    end = len(path.visits) - 1
    origin = origin_of(path, register, end)
    state = state_of(path, register, end)
    constant = state.constant if state is not None and state.scalar else None
    cut = explain_half_copy(register, path, what)
    if cut is not None:
        return cut
    zero = find_load_of_zeros(register, path)
    if zero is not None:
        return explain_null_and_offset(register, path, Origin(zero, register), 0, what)
    made = constant_of(path, origin)
    if constant is None and made is not None and not origin.changed:
        constant = made
    if made is not None and abs(made) >= ADDRESS_MIN:
        insn = path.visits[origin.number or 0].insn
        return Cause(
            f"Instruction {insn} sets a number that looks like an address of the kernel, {made & (1 << 64) - 1:#x}, "
            f"and {what}: a number out of the program, or a map's address with an index of which too little is "
            "known.",
            "If it is a global variable or array: bound the index in the register that is added (index &= SIZE - 1, "
            "with the mask on an unsigned variable directly before the access). If it is an address out of "
            f"/proc/kallsyms: declare it with __ksym. {READ_IT}",
            CauseClass.SOURCE,
            f"instruction {insn} sets an address as a constant",
        )
    if made is not None or (constant is not None and 0 <= constant < NULL_OFFSET_MAX):
        return explain_null_and_offset(register, path, origin, constant if constant is not None else made or 0, what)
    if origin.number is None:
        return (
            explain_entry_value(register, path, origin, what)
            if is_entry_value(path, origin)
            else explain_unknown_number(register, what)
        )
    visit = path.visits[origin.number]
    where = f"instruction {visit.insn}, {visit.text}"
    if is_from_context(path, origin):
        return Cause(
            f"{register} was read out of the context ({where}): to the verifier that is a number, even if it is the "
            f"address of something in the kernel, and {what}.",
            READ_IT,
            CauseClass.SOURCE,
            f"instruction {visit.insn} reads the value out of the context",
        )
    if visit.instruction.operation is Operation.CALL and origin.name.startswith("fp"):
        return Cause(
            f"{register} was read from the stack, where {called_function(visit)} has written it (instruction "
            f"{visit.insn}): a number to the verifier, even if it is an address; {what}.",
            f"Copy what it points to into a variable on the stack first, and pass that one's address. {READ_IT}",
            CauseClass.SOURCE,
            f"instruction {visit.insn} writes the value to the stack",
        )
    if visit.instruction.operation is Operation.CALL and "mem" in visit.after.get("R0", ""):
        return explain_lost_memory(register, path, origin.number)
    if visit.instruction.operation is Operation.CALL:
        return Cause(
            f"{called_function(visit)} returned a number (instruction {visit.insn}), and {what}.",
            f"Use a function that returns a typed pointer (bpf_get_current_task_btf() for the task). {READ_IT}",
            CauseClass.SOURCE,
            f"instruction {visit.insn} calls {called_function(visit)}",
        )
    if visit.instruction.operation in {Operation.LOAD, Operation.FILL}:
        return Cause(
            f"{register} was read from memory ({where}), and what is read from there is a number to the "
            f"verifier, even if it is an address; {what}.",
            READ_IT,
            CauseClass.SOURCE,
            f"instruction {visit.insn} reads the value from memory",
        )
    return explain_unknown_number(register, what)


def explain_half_copy(register: str, path: InsnPath, what: str) -> Cause | None:
    """A pointer of which only the lower half was copied, so that it became a number."""
    name = register
    for number in range(len(path.visits) - 2, -1, -1):
        visit = path.visits[number]
        instruction = visit.instruction
        if visit.depth != 0 or instruction.writes != name:
            continue
        if instruction.operation is not Operation.COPY or instruction.reads is None:
            return None
        copied = state_of(path, instruction.reads, number)
        if instruction.half and copied is not None and not copied.scalar:
            return Cause(
                f"{register} was a pointer up to instruction {visit.insn} ({visit.text}), which copies only the "
                f"lower 32 bits of it: what is left is a number, and {what}.",
                "Keep pointers, and what is computed from them, in variables of 64 bits: void *, or long, not int or "
                "__u32. Where the source has no such cast, the compiler has chosen the copy: compile with -mcpu=v2, "
                "which has no arithmetic of 32 bits, or hide the pointer from it with barrier_var(ptr).",
                CauseClass.COMPILER,
                f"instruction {visit.insn} copies 32 bits of a pointer",
            )
        name = instruction.reads
    return None


def find_load_of_zeros(register: str, path: InsnPath) -> int | None:
    """The instruction on the path that read the register from the stack, where the log shows that zeros are there."""
    for number in range(len(path.visits) - 2, -1, -1):
        visit = path.visits[number]
        if visit.depth != 0 or visit.instruction.writes != register:
            continue
        if visit.instruction.operation is not Operation.FILL or visit.instruction.slot is None:
            return None
        text = visit.before.get(visit.instruction.slot) or visit.after.get(visit.instruction.slot)
        return number if text in ZEROS else None
    return None


def explain_entry_value(register: str, path: InsnPath, origin: Origin, what: str) -> Cause | None:
    """A value that no instruction of a whole path made: the context with something added, or an unset variable."""
    if origin.name == "R1" and origin.changed and path.function is None:
        insn = path.visits[origin.changed[0]].insn
        return Cause(
            f"{register} is the context, and instruction {insn} has added something to it: this kernel makes a "
            f"number of it then, and {what}.",
            "Read each field of the context by its name. Where the source does, the compiler has made one read of "
            "two, behind the branches that lead to them: read the fields through volatile, or before the branches.",
            CauseClass.COMPILER,
            f"instruction {insn} does arithmetic with the context",
        )
    if not origin.name.startswith("fp"):
        return None
    return Cause(
        f"{register} was read from the stack (at {origin.name}), and nothing on this path has written anything "
        f"there: the variable holds whatever was left, and {what}. Kernels from v6.3 on let "
        "privileged programs read such bytes, as numbers.",
        "Set the variable where it is declared (= NULL for a pointer), and leave where it was not set. A function "
        "that gets its address sets it on some paths only: have it set it on all, or return whether it did.",
        CauseClass.SOURCE,
        f"nothing on the path writes {origin.name}",
    )


def explain_lost_memory(register: str, path: InsnPath, made: int) -> Cause:
    """A pointer to memory that a function returned, and that something since has invalidated."""
    since = [visit for visit in path.visits[made + 1 : -1] if visit.instruction.operation in CALLS]
    last = f" The last call since then is at instruction {since[-1].insn} ({since[-1].text})." if since else ""
    return Cause(
        f"{register} was a pointer to memory that {called_function(path.visits[made])} returned (instruction "
        f"{path.visits[made].insn}), and is none any more: writing through the dynptr, making it anew, giving it "
        f"back, or moving the packet takes such pointers away.{last}",
        "Use the pointer before that, or get it again behind it, and compare it with NULL again.",
        CauseClass.SOURCE,
        f"instruction {path.visits[made].insn} returned a pointer to memory",
    )


def explain_unknown_number(register: str, what: str) -> Cause:
    return Cause(
        f"{register} is a number here and no pointer, and {what}. This part of the log does not show what "
        "made it; an address that was read out of the context, of kernel memory or of a process is such a number.",
        READ_IT + " Where it was a pointer before: take it again after what made a number of it (a release, a helper "
        "that moves packet data, arithmetic that the verifier cannot follow).",
    )


def explain_unset_register(register: str, path: InsnPath, text: str) -> Cause | None:
    """A register that was never set: an argument that programs do not have, lost in a call, no return value."""
    if "skb[" in text and register == "R6":
        return Cause(
            "This instruction reads from the packet through R6, which must hold the context, and nothing has put it "
            "there.",
            "Copy the context first (r6 = r1), or in C use bpf_skb_load_bytes() or load_byte() and the like.",
            CauseClass.SOURCE,
            "the instruction is a legacy load from the packet, which reads R6",
        )
    entry = path.cut is None and bool(path.visits)
    origin = origin_of(path, register, len(path.visits) - 1) if path.visits else Origin(None, register)
    if (
        register in ARGUMENTS
        and path.function is None
        and (
            (entry and origin.number is None and origin.name in ARGUMENTS)
            or (len(path.visits) == 1 and path.visits[0].insn == 0)
        )
    ):
        return explain_unset_argument(register, origin, path)
    if origin.number is not None and path.visits[origin.number].instruction.operation is Operation.CALL:
        call = path.visits[origin.number]
        return Cause(
            f"{register} was lost in the call of {call.instruction.name}() (instruction {call.insn}): R1 to R5 hold "
            "nothing after any call.",
            "Compiled from C this means that an argument is missing, or that the function was declared with "
            "fewer than it is called with; in assembly, keep the value in R6 to R9 or on the stack.",
            CauseClass.SOURCE,
            f"instruction {call.insn} calls {call.instruction.name}(), and nothing sets {register} after it",
        )
    if register == "R0" and entry and path.visits[-1].text == "exit":
        return Cause(
            "The program ends without a return value on this path: nothing has set R0.",
            "Return a number on every path.",
            CauseClass.SOURCE,
            "nothing on the path writes R0",
        )
    return None


def explain_unset_argument(register: str, origin: Origin, path: InsnPath) -> Cause:
    """R2 to R5 as they were at the entry: an argument that programs do not have, or a variable that was not set.

    For a variable that was not set the compiler may use any register as it is. Where the register is used without a
    branch before it, and not in a call, only an argument of the program's function can be meant.
    """
    called = path.visits[-1].instruction if path.visits[-1].instruction.operation is Operation.CALL else None
    branched = any(visit.instruction.operation is Operation.BRANCH for visit in path.visits)
    evidence = f"{origin.name} is used as it was at the entry of the program"
    arguments = (
        "Take the context alone, and get the arguments out of it: BPF_PROG() for fentry, fexit, tp_btf and lsm, "
        "BPF_KPROBE() or PT_REGS_PARMn() for kprobes, the fields of the context for tracepoints; pass more "
        "arguments only to functions of your own."
    )
    if called is None and not branched:
        return Cause(
            f"Programs are called with one argument, the context in R1; {origin.name} is set by nobody. The "
            "function is written as if it had more arguments.",
            arguments,
            CauseClass.SOURCE,
            evidence,
        )
    use = f", which is argument {register[1:]} of {called.name}() here" if called is not None and called.name else ""
    return Cause(
        f"Nothing on this path sets {origin.name}{use}: programs are called with one argument, the context in R1. "
        f"Either a variable is used that was not set{' on this path' if branched else ''}, or the function is "
        "written as if it had more arguments.",
        "Set the variable where it is declared, and on every branch before it is used; -Wall -Wuninitialized tells "
        f"where it is not. If it is an argument of the program's function: {arguments[0].lower()}{arguments[1:]}",
        CauseClass.SOURCE,
        evidence,
    )


def explain_dereference(rejection: Rejection) -> Cause | None:
    register = rejection.register or rejection.match.fields.get("arg")
    if register is None:
        return None
    return explain_number_as_pointer(
        register, rejection.path, f"it is used as an address ({rejection.text or 'here'})"
    )


def explain_typed_dereference(rejection: Rejection) -> Cause | None:
    """A dereference of a number by a kernel that names its type: ``imm`` (a constant, up to 4.x) or ``inv``."""
    return (
        explain_dereference(rejection)
        if rejection.match.fields.get("type") in {"imm", "inv", "unknown_value"}
        else None
    )


def explain_invalidated(rejection: Rejection, register: str) -> Cause | None:
    """A register that was a pointer, where the causal path has the instruction that took the pointer away."""
    lost = next(
        (event for event in follow(rejection.match, rejection.path).events if event.kind == "invalidated"), None
    )
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


def explain_scalar(rejection: Rejection) -> Cause | None:
    lost = explain_invalidated(rejection, rejection.register) if rejection.register else None
    return lost or explain_dereference(rejection)


def explain_unreadable(rejection: Rejection) -> Cause | None:
    return explain_unset_register(rejection.register, rejection.path, rejection.text) if rejection.register else None
