# SPDX-License-Identifier: GPL-2.0-or-later
"""Causes that show in the message and the last instruction alone: sizes, fields, opcodes, what compilers do."""

from __future__ import annotations

import re

from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.explaining.cause import Cause, Rejection
from kprobe_tool.probes.verifier.explaining.numbers import explain_unbounded_number
from kprobe_tool.probes.verifier.explaining.origins import origin_of, state_of
from kprobe_tool.probes.verifier.explaining.packets import explain_packet_access
from kprobe_tool.probes.verifier.log.disasm import Operation

MAP_STRUCT = re.compile(
    r"bpf_(?:map|array|htab|lru|ringbuf|lpm|dtab|stack|queue|local_storage|cpu_map|shtab)\w{0,40}"
)
BOUNDS = re.compile(
    r"invalid access to (?:map value|memory|map key|scalar), ?(?:value_size|mem_size|key_size)=(-?\d{1,12}) "
    r"off=(-?\d{1,20}) size=(-?\d{1,20})"
)
STACK_SIZE = 512
"""MAX_BPF_STACK."""
SLOT = 8
"""Bytes of a slot of the stack."""
OBJECTS = {"dynptr": "a dynptr", "iter": "an iterator", "irq": "a saved IRQ flag"}
"""Type of a stack slot that holds neither number nor pointer (print_verifier_state()): what it is called here."""
UNKNOWN_ROUNDS = (
    "Of a loop over an iterator (bpf_for(), bpf_repeat()), bpf_loop() and the like the verifier does not know how "
    "many rounds it has."
)
KFUNC = re.compile(r"#\d{4,7}$")
"""Kernel functions are numbered by their BTF, in which thousands of types come first; helpers count from 1."""
SIZED = frozenset({"bpf_dynptr_slice", "bpf_dynptr_slice_rdwr", "bpf_dynptr_data", "bpf_ringbuf_reserve"})
"""Functions that return memory of the size that they are asked for."""
OPCODES = {
    "8d": (
        "The instruction is a call through a register (callx), which the kernel does not know: the compiler did not "
        "see which function is called.",
        "Compile with -O2: without optimization helpers are called through pointers. Call no function "
        "through a pointer that is not a constant.",
        "opcode 8d is what a compiler makes of a call through a pointer",
    ),
    "00": (
        "The instruction is empty: the compiler left it to be filled in, and the loader did not. That is a call of a "
        "function which does not exist for BPF (strcmp(), memcmp() and others of the C library), or a constant or "
        "global variable with a loader that knows none.",
        "Call no function of the C library (write the loop, or use bpf_strncmp() or __builtin_memcmp() with a small "
        'constant size); put strings on the stack (char s[] = "...") where the loader, such as bcc, has no global '
        "data.",
        "opcode 00 is a relocation that was not done",
    ),
}


def explain_object_bounds(rejection: Rejection) -> Cause | None:
    """An access outside a map value or other memory, in the kernel's figures: offset, size, and the object's size."""
    figures = next((each for text in (rejection.message, *rejection.details) if (each := BOUNDS.match(text))), None)
    if figures is None:
        return explain_packet_access(rejection.message, rejection.details, rejection.path)
    whole, off, size = (int(each) for each in figures.groups())
    register = rejection.register
    state = None if register is None else state_of(rejection.path, register, len(rejection.path.visits) - 1)
    # The log has no instruction: an access of more bytes than one instruction makes is that of a function.
    called = size > SLOT if rejection.instruction is None else rejection.instruction.operation is Operation.CALL
    if size == 0:
        return Cause(
            "The size that is passed may be 0 on this path, and this function takes none of 0. "
            "What may be wrong about a size of 0 is checked at its smallest value.",
            "Do not make the call where the size is 0: if (size == 0) return ...; directly before it, unsigned, and "
            "on the variable that is passed.",
            CauseClass.SOURCE,
            "the kernel tried the access with a size of 0",
        )
    end = off + size
    access = f"The access is of {size} {'byte' if size == 1 else 'bytes'} at offset {off}"
    reason = (
        f"{access}, so it ends at {end}, and the object has {whole}: {end - whole} "
        f"{'byte' if end - whole == 1 else 'bytes'} too many."
        if off >= 0 and end > whole
        else f"{access}, and the object has {whole}."
    )
    largest = None if state is None else state.bound("umax")
    wanted = describe_whole_object(rejection, size) if called else ""
    if wanted and off >= 0 and end > whole:
        return Cause(
            f"{reason} {wanted}",
            "Give it an object that large: declare it with the kernel's own type, from the vmlinux.h of the kernel "
            "where the program runs; of struct cpumask the size depends on how many CPUs the kernel was built for, "
            "and bpf_cpumask_create() makes one that fits.",
            CauseClass.SOURCE,
            f"the function takes {size} bytes, and {max(0, whole - off)} are there",
        )
    if called and 0 <= off <= whole and not largest:
        return explain_size(rejection, reason, whole - off, size)
    added = added_constant(rejection, register)
    if off >= 0 and end > whole and largest is None and added is not None:
        allowed = added[1] - (end - whole)
        return Cause(
            f"{reason} {added[0]}, which was added to the pointer, is {added[1]} on this path"
            + (f"; up to {allowed} the access would lie within." if allowed >= 0 else "."),
            "The verifier follows each value that a small number can have, and this one comes through the "
            f"comparison before it: bound it so that it is {allowed} at the most (in bytes: an index times the size "
            "of an element), such as if (i >= N) return ...; with the number of elements the array really has."
            if allowed >= 0
            else "Declare the object as large as what is read or written there, or access what it has.",
            CauseClass.SOURCE,
            f"{added[0]} is {added[1]}, and the object has {whole} bytes",
        )
    if largest is not None and off > whole - size:
        allowed = largest - (off - (whole - size))
        if allowed >= 0:
            return Cause(
                f"{reason} The number that was added can be as large as {largest}; up to {allowed} the access would "
                "lie within.",
                "Offset and size are bounded each on its own, and their largest values count together. Bound "
                f"the sum in the code: the offset {allowed} at the most where the size may be {size}."
                if called
                else f"Bound it so that it is {allowed} at the most (in bytes: an index times the size of an "
                "element), in the register that is added to the pointer. sizeof() of an array counts bytes, not "
                "elements.",
                CauseClass.SOURCE,
                f"the offset is at most {largest} where {allowed} is allowed",
            )
    if off < 0 or end <= whole:
        return None
    if rejection.match.row.rule == "bounds-maximum":
        return Cause(
            f"{reason} That is with the largest value that the number which was added can have.",
            f"Lower its limit by {end - whole} (in bytes: an index times the size of an element): i < N, not i <= "
            "N; where two numbers are added, bound their sum.",
        )
    if largest is None and rejection.match.row.rule in {"object-bounds", "bounds-minimum"}:
        counted = describe_growth_in_loop(rejection, register)
        constants = counted or ("Offset and size are known numbers on this path." if state is not None else "")
        return Cause(
            f"{reason} {constants}".rstrip(),
            f"Compare what is counted with the number of elements before it is used: if (i >= N) return ...; "
            f"{UNKNOWN_ROUNDS}"
            if counted
            else f"{advise_larger_request(rejection, end)}Declare the map's value, or the memory, as large as "
            "what is read or written there (sizeof of the type, not of a pointer to it), or access what it has.",
            CauseClass.SOURCE,
            f"the access ends at {end} of {whole}",
        )
    return None


def describe_whole_object(rejection: Rejection, size: int) -> str:
    """A sentence where a kernel function takes a whole object, so that no register holds the size; else empty."""
    name = rejection.instruction.name if rejection.instruction is not None else None
    register = rejection.register or ""
    if name is None or not register[1:].isdigit() or not KFUNC.search(rejection.text):
        return ""
    behind = state_of(rejection.path, f"R{int(register[1:]) + 1}", len(rejection.path.visits) - 1)
    if behind is not None and behind.scalar and size in {behind.constant, behind.bound("umax")}:
        return ""
    return f"{name}() takes a whole object there, which has {size} bytes on this kernel."


def describe_growth_in_loop(rejection: Rejection, register: str | None) -> str:
    """A sentence where an offset grew in a loop whose rounds the verifier does not count; else empty."""
    path = rejection.path
    if register is None or not path.visits:
        return ""
    insns = [path.visits[number].insn for number in origin_of(path, register, len(path.visits) - 1).changed]
    if len(insns) == len(set(insns)):
        return ""
    repeated = next(insn for insn in insns if insns.count(insn) > 1)
    return f"It grew step by step (instruction {repeated}, which this path comes to again and again)."


def explain_size(rejection: Rejection, reason: str, room: int, size: int) -> Cause:
    """A function is given a size that is too large, or may be."""
    pointer = rejection.register or ""
    behind = f"R{int(pointer[1:]) + 1}" if pointer[1:].isdigit() else None
    state = None
    if behind is not None and rejection.path.visits:
        state = state_of(rejection.path, behind, len(rejection.path.visits) - 1)
    if state is not None and state.constant == size:
        return Cause(
            f"{reason} The size that is passed is the constant {size}.",
            f"Pass {room} at the most (sizeof the member or variable that the pointer points to), or make that "
            f"one larger.",
            CauseClass.SOURCE,
            f"{behind} is the constant {size}, and {room} bytes are there",
        )
    return Cause(
        f"{reason} The size may be as large as {size} here.",
        f"Bound the size by what the object holds: if (size > {max(0, room)}) return ...; "
        f"a mask such as & {size:#x} lets more through. Or give the object a larger type.",
        CauseClass.SOURCE,
        f"a size of up to {size} is used where {max(0, room)} bytes are",
    )


def added_constant(rejection: Rejection, register: str | None) -> tuple[str, int] | None:
    """(register, value) of the number that was added to a pointer, where it is a known one on this path."""
    path = rejection.path
    if register is None or not path.visits:
        return None
    origin = origin_of(path, register, len(path.visits) - 1)
    for number in origin.changed:
        added = path.visits[number].instruction.reads
        state = None if added is None else state_of(path, added, number)
        if added is not None and state is not None and state.constant is not None and state.constant > 0:
            return added, state.constant
    return None


def advise_larger_request(rejection: Rejection, end: int) -> str:
    """Advice to ask for more, where a function made the object in the size that it was asked for; else empty."""
    path, register = rejection.path, rejection.register
    if register is None or not path.visits:
        return ""
    origin = origin_of(path, register, len(path.visits) - 1)
    if origin.number is None or path.visits[origin.number].instruction.name not in SIZED:
        return ""
    visit = path.visits[origin.number]
    return f"Ask {visit.instruction.name}() (instruction {visit.insn}) for {end} bytes. Or: "


def explain_stack_bounds(rejection: Rejection) -> Cause | None:
    """An access outside the stack: a function is given too small a variable, or there is too much on the stack."""
    off, size = int(rejection.match.fields["off"]), int(rejection.match.fields["size"])
    if off < -512:
        return Cause(
            f"The access is at offset {off} of the stack, and a function has {STACK_SIZE} bytes of it: its variables "
            f"need {-off} at the least.",
            "Keep large variables in the value of a per-CPU array with one element (bpf_map_lookup_elem() of key 0), "
            "or make them smaller; what is only printed or sent can be written into a ring buffer's record at once.",
            CauseClass.SOURCE,
            f"offset {off} is beyond the {STACK_SIZE} bytes",
        )
    if off >= 0 and rejection.register is None:
        return Cause(
            f"{size} {'byte is' if size == 1 else 'bytes are'} accessed at offset {off}, which is behind the end of "
            "the stack: an index has run past the end of the array that is last on it.",
            "Bound the index by the number of elements directly before the access: if (i >= N) return ...; of a loop "
            "whose rounds the verifier does not count, compare within the loop.",
            CauseClass.SOURCE,
            f"offset {off} is behind the stack's end, 0",
        )
    if not -512 <= off < 0 < off + size:
        return None
    return Cause(
        f"{size} bytes are read or written at offset {off} of the stack, where only {-off} are left: the "
        f"variable there has {-off} bytes at the most.",
        f"Pass the address of a variable of {size} bytes. What maps take as keys and values is as large as "
        "the map says (key_size, value_size): declare the variable with the map's own type.",
        CauseClass.SOURCE,
        f"{size} bytes are wanted where {-off} are left",
    )


def explain_map_object(rejection: Rejection) -> Cause | None:
    name = rejection.match.fields.get("type") or rejection.match.fields.get("name", "")
    if not MAP_STRUCT.fullmatch(name):
        return None
    return Cause(
        f"The pointer is the map itself (struct {name} of the kernel), not one of its values.",
        "Get a value with bpf_map_lookup_elem(&map, &key), compare it with NULL, and use that; a map that is "
        "declared like a variable is no memory of the program.",
        CauseClass.SOURCE,
        f"the kernel names struct {name}, which is how it keeps the map",
    )


def explain_opcode(rejection: Rejection) -> Cause | None:
    about = OPCODES.get(rejection.match.fields.get("hex", ""))
    if about is None:
        return None
    return Cause(about[0], about[1], CauseClass.COMPILER, about[2])


def explain_object_at_offset(rejection: Rejection) -> Cause | None:
    """An object on the stack that is aligned, but with too few bytes between it and the stack's end."""
    off = int(rejection.match.fields.get("off", 1))
    if off % SLOT or not -512 <= off < 0:
        return None
    what = rejection.match.fields.get("what", "object")
    if what == "dynptr":
        return Cause(
            f"The dynptr that is passed is at offset {off} of the stack, where {-off} bytes are left, and a dynptr "
            f"has {2 * SLOT}.",
            "Declare a struct bpf_dynptr, and pass the address of that variable itself.",
            CauseClass.SOURCE,
            f"{-off} bytes are left on the stack from offset {off} on",
        )
    return Cause(
        f"The {what} that is passed is at offset {off} of the stack, so it has {-off} bytes at the most, and this "
        "kernel's is larger: the program was compiled with another kernel's declaration of the type, or its variable "
        "is of another type.",
        "Compile with the vmlinux.h of the kernel where the program runs, or run it on the kernel that it was made "
        "for; declare the variable with the type that the function is declared with.",
        CauseClass.ENVIRONMENT,
        f"{-off} bytes are left on the stack from offset {off} on, and the kernel says that they do not do",
    )


def explain_pointer_arithmetic(rejection: Rejection) -> Cause | None:
    if rejection.instruction is None or rejection.instruction.operator not in {"<<=", "|=", ">>=", "&="}:
        return None
    return Cause(
        f"{rejection.match.reason()} Nobody writes {rejection.instruction.operator} on such a pointer in C: the "
        "compiler has put two fields that it read, such as data and data_end, into one number.",
        'Read the two fields so that the compiler keeps them apart: through volatile, or with asm volatile("" ::: '
        '"memory"); between them.',
        CauseClass.COMPILER,
        f"the instruction is {rejection.text}",
    )


def explain_pointer_shift(rejection: Rejection) -> Cause | None:
    """A pointer that was shifted, as the compiler does to make it a number of 32 bits."""
    operator = rejection.match.fields.get("operator", "")
    if operator not in {"<<=", ">>=", "s>>="}:
        return None
    source = rejection.path.visits[-1].source if rejection.path.visits else None
    assembly = source is not None and "asm" in source.text
    return Cause(
        f"{rejection.match.reason()} "
        + (
            "Inline assembly does arithmetic with the pointer as if it were a number."
            if assembly
            else "A shift to the left and back again is what the compiler makes of a pointer that goes through a "
            "number of 32 bits."
        ),
        "Leave pointers pointers from where they are got to where they are used: no casts to int or __u32, no "
        "packing into other numbers, only + and - of an offset, which is computed in a variable of its own and "
        "bounded before.",
        CauseClass.SOURCE if assembly else CauseClass.UNKNOWN,
        "the source line is inline assembly" if assembly else None,
    )


def explain_object_on_stack(rejection: Rejection) -> Cause | None:
    """Bytes of the stack that hold an object of the verifier's, which may not be read as bytes."""
    off = int(rejection.match.fields.get("off", 0)) // 8 * 8
    if not rejection.path.visits:
        return None
    # A dynptr has two slots, and the log names the lower one.
    for slot in (off, off - 8, off + 8):
        state = state_of(rejection.path, f"fp{slot}", len(rejection.path.visits) - 1)
        kind = None if state is None else state.type.partition("_")[0]
        if kind in OBJECTS and state is not None:
            return Cause(
                f"The stack at offset {off} holds {OBJECTS[kind]} ({state.type}), which may not be read or copied "
                "like a plain variable: only the functions made for it may use it, at the place where it was made.",
                "Pass the address of the variable itself to those functions, and do not assign or memcpy() it.",
                CauseClass.SOURCE,
                f"slot fp{slot} holds {state.type}",
            )
    return None


def explain_pointer_bitwise(rejection: Rejection) -> Cause | None:
    if "|=" not in rejection.text:
        return None
    return Cause(
        f"{rejection.match.reason()} In C this was an addition: the compiler knew that the low bits of the "
        "pointer are 0, and made | of +.",
        'Hide the offset from the compiler before it is added (asm volatile("" : "+r"(i));), or move the data into '
        "a map value, of which it knows no alignment. In calls of bpf_trace_printk() pass %d and %s their own "
        "arguments.",
        CauseClass.COMPILER,
        f"the instruction is {rejection.text} on a stack pointer",
    )


def explain_pointer_difference(rejection: Rejection) -> Cause | None:
    if rejection.instruction is None or rejection.instruction.operator != "-=":
        return explain_unbounded_number(rejection)
    return Cause(
        "A pointer is subtracted from a number: the length between two pointers, of which the verifier takes "
        "one for a number.",
        "Keep lengths in variables instead of differences of pointers. In Rust this is code for panics and "
        "formatting: index with get() and avoid unwrap() and format macros, and build with --release.",
        CauseClass.SOURCE,
        f"the instruction is {rejection.text}",
    )
