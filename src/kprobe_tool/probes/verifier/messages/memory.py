# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages about accesses to memory."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import Category, CauseClass
from kprobe_tool.probes.verifier.messages.row import Follow, KernelMessage, MessageGroup, is_within_frame

GROUPS = (
    MessageGroup(
        Category.MEMORY,
        "Access outside bounds",
        (
            KernelMessage(
                rule="bounds-negative",
                wordings={
                    "{arg} min value is negative, either use unsigned index or do a if (index >=0) check.": "5.10-7.3"
                },
                reason="The offset in {arg} can be negative, so the access can lie before the object.",
                suggestion="Use an unsigned index, or check that it is not negative before it is used.",
                follow=Follow.REGISTER,
                lost_bound=True,
            ),
            KernelMessage(
                rule="bounds-minimum",
                wordings={"{arg} min value is outside of the allowed memory range": "5.10-7.3"},
                reason=(
                    "Even with the smallest value that {arg} can have here the access lies outside of the object."
                ),
                suggestion="Check offset and size against the size of the object: offset + size must not be larger.",
                follow=Follow.REGISTER,
                lost_bound=True,
            ),
            KernelMessage(
                rule="bounds-unbounded",
                wordings={"{arg} unbounded memory access, make sure to bounds check any such access": "5.10-7.3"},
                reason=(
                    "The offset in {arg} has no upper limit, or none that helps, so the access can lie anywhere "
                    "behind the object."
                ),
                suggestion=(
                    "Compare the index with the number of elements, and use the very register that was compared; or "
                    "mask it."
                ),
                follow=Follow.REGISTER,
                lost_bound=True,
            ),
            KernelMessage(
                rule="bounds-maximum",
                wordings={"{arg} max value is outside of the allowed memory range": "5.10-7.3"},
                reason="With the largest value that {arg} can have here the access ends behind the object.",
                suggestion="Lower the limit of the index so that offset + size stays within the object.",
                follow=Follow.REGISTER,
                lost_bound=True,
            ),
            KernelMessage(
                rule="packet-bounds",
                wordings={"{arg} offset is outside of the packet": "5.10-7.3"},
                reason="Nothing on this path proves that the packet is long enough for this access through {arg}.",
                suggestion=(
                    "Compare the end of the access with data_end first: if (ptr + size > data_end) return; and do "
                    "so again after any helper that can move packet data."
                ),
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="object-bounds",
                wordings={
                    "invalid access to map value, value_size={limit} off={off} size={size}": "5.10-7.3",
                    "invalid access to map key, key_size={limit} off={off} size={size}": "6.1-7.3",
                    "invalid access to memory, mem_size={limit} off={off} size={size}": "5.10-7.3",
                    "invalid access to context, ctx_size={limit} off={off} size={size}": "7.2-7.3",
                },
                reason="The access is of {size} bytes at offset {off}, and the object has {limit} bytes.",
                suggestion="Check offset and size against the size of the object.",
                detail=True,
            ),
            KernelMessage(
                rule="packet-range",
                wordings={
                    (
                        "invalid access to packet, off={off} size={size}, {arg}(id={id},off={fixed},r={range})"
                    ): "5.10-7.3"
                },
                reason=(
                    "The access is of {size} bytes at offset {off}, and this path has proved {range} bytes of the "
                    "packet to be there."
                ),
                suggestion="Compare the end of the access with data_end first.",
                follow=Follow.REGISTER,
                detail=True,
            ),
            KernelMessage(
                rule="flow-keys-bounds",
                wordings={"invalid access to flow keys off={off} size={size}": "5.10-7.3"},
                reason="The access is of {size} bytes at offset {off}, and struct bpf_flow_keys does not have them.",
                suggestion="Access the fields of struct bpf_flow_keys.",
            ),
            KernelMessage(
                rule="buffer-bounds",
                wordings={"{arg} invalid {name} buffer access: off={off}, size={size}": "5.10-6.12"},
                reason="The access of {size} bytes at offset {off} lies outside of the {name} buffer in {arg}.",
                suggestion="Use offsets from 0 on.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="direct-map-value",
                wordings={
                    "invalid access to map value pointer, value_size={limit} off={off}": "5.10-7.3",
                    "direct value offset of {off} is not allowed": "5.10-6.12",
                },
                reason="The program takes the address of offset {off} in a map's value, which lies outside of it.",
                suggestion="Check that the object file and the map agree on the size of the value.",
            ),
        ),
    ),
    MessageGroup(
        Category.MEMORY,
        "Variable offset is not allowed",
        (
            KernelMessage(
                rule="buffer-variable",
                wordings={
                    "{arg} invalid variable buffer offset: off={off}, var_off={tnum}": "5.10-7.3",
                    "{arg} invalid variable offset to flow keys: off={off}, var_off={tnum}": "7.2-7.3",
                },
                reason=(
                    "{arg} points to a buffer and was moved by a number that is not known when the program is loaded."
                ),
                suggestion="Use constant offsets with this buffer.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="variable-access",
                wordings={"variable {type} access var_off={tnum} disallowed": "6.1-7.3"},
                reason=(
                    "The {type} pointer was moved by a number that is not known when the program is loaded ({tnum})."
                ),
                suggestion="Use constant offsets with this type of pointer.",
                follow=Follow.SOURCE,
            ),
        ),
    ),
    MessageGroup(
        Category.MEMORY,
        "Stack spill corruption",
        (
            KernelMessage(
                rule="spill-corruption",
                wordings={
                    "attempt to corrupt spilled pointer on stack": "5.10-7.3",
                    "spilled ptr in range of var-offset stack write; insn {at}, ptr off: {off}": "5.10-7.3",
                },
                reason="The write would change a part of a pointer that was saved on the stack.",
                suggestion="Write whole slots of 8 bytes over saved pointers, or keep the two apart.",
            ),
        ),
    ),
    MessageGroup(
        Category.MEMORY,
        "Uninitialized stack read",
        (
            KernelMessage(
                rule="stack-uninitialized",
                wordings={
                    "invalid read from stack off {off}+{part} size {size}": "5.10-7.3",
                    "invalid read from stack {arg} off {off}+{part} size {size}": "5.10-7.3",
                    "invalid indirect read from stack {arg} off {off}+{part} size {size}": "5.10-6.12",
                    "invalid indirect read from stack off {off}+{part} size {size}": "5.4",
                },
                reason=(
                    "At offset {off} of the stack {size} bytes are read, and those from byte {part} on were not "
                    "written on this path."
                ),
                suggestion=(
                    "Initialize all of the variable, also the padding of structures ({{}} or memset), before it is "
                    "read or handed to a helper."
                ),
            ),
            KernelMessage(
                rule="stack-uninitialized-variable",
                wordings={
                    "invalid read from stack {arg} var_off {tnum}+{part} size {size}": "5.10-7.3",
                    "invalid indirect read from stack {arg} var_off {tnum}+{part} size {size}": "5.10-6.12",
                    "invalid indirect read from stack var_off {tnum}+{part} size {size}": "5.4",
                },
                reason=(
                    "Of the {size} bytes of the stack that are read, some may not have been written on this path."
                ),
                suggestion="Initialize the whole array before it is read.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="stack-not-written",
                wordings={"invalid read from stack {arg} off={off} size={size}": "5.10-7.3"},
                reason=(
                    "{size} bytes at offset {off} of the stack are read, and this function has written nothing there."
                ),
                suggestion="Initialize the variable before it is read or handed to a helper.",
                only=is_within_frame,
            ),
        ),
        CauseClass.SOURCE,
        "the message names bytes of the stack that nothing has written",
    ),
    MessageGroup(
        Category.MEMORY,
        "Stack access out of frame",
        (
            KernelMessage(
                rule="stack-out-of-frame",
                wordings={
                    "invalid {access} stack {arg} off={off} size={size}": "5.10-7.3",
                    "invalid stack off={off} size={size}": "5.4",
                },
                reason=(
                    "An access of {size} bytes at offset {off} from the frame pointer is not within the "
                    "frame, which has the 512 bytes below it."
                ),
                suggestion="Keep offsets between -512 and 0, and the end of the access at or below 0.",
            ),
        ),
    ),
    MessageGroup(
        Category.MEMORY,
        "Variable stack access",
        (
            KernelMessage(
                rule="stack-variable",
                wordings={
                    (
                        "variable offset stack pointer cannot be passed into helper function; "
                        "var_off={tnum} off={off} "
                        "size={size}"
                    ): "5.10-7.3"
                },
                reason="A pointer to the stack is used here whose offset is not known when the program is loaded.",
                suggestion="Use a constant offset, or keep the buffer in a map.",
            ),
            KernelMessage(
                rule="stack-variable-access",
                wordings={
                    "invalid variable-offset {access} stack {arg} var_off={tnum} size={size}": "5.10-6.1",
                    "invalid variable-offset {access} stack {arg} var_off={tnum} off={fixed} size={size}": "5.10-7.3",
                },
                reason=(
                    "The offset into the stack varies ({tnum}), and for some of its values the {size} bytes lie "
                    "outside of the frame."
                ),
                suggestion="Bound the index so that the access always lies within the array.",
                follow=Follow.REGISTER,
                lost_bound=True,
            ),
            KernelMessage(
                rule="stack-variable-unbounded",
                wordings={"invalid unbounded variable-offset {access} stack {arg}": "5.10-7.3"},
                reason="The offset into the stack in {arg} has no bounds.",
                suggestion="Bound the index before it is added.",
                follow=Follow.REGISTER,
                lost_bound=True,
            ),
        ),
    ),
    MessageGroup(
        Category.MEMORY,
        "Invalid spill size",
        (
            KernelMessage(
                rule="spill-size",
                wordings={"invalid size of register spill": "5.10-7.3", "invalid size of register fill": "5.10-7.3"},
                reason=(
                    "A pointer is saved to the stack, or read from it, in 8 bytes only; other sizes take a part of "
                    "it."
                ),
                suggestion="Use a 64-bit access for pointers.",
            ),
        ),
    ),
    MessageGroup(
        Category.MEMORY,
        "Stack pointer is stored in the caller",
        (
            KernelMessage(
                rule="spill-to-caller",
                wordings={"cannot spill pointers to stack into stack frame of the caller": "5.10-7.3"},
                reason=(
                    "A pointer to this function's stack would be saved in the stack of its caller, and point to "
                    "nothing after the return."
                ),
                suggestion="Let the caller own the buffer.",
            ),
        ),
    ),
    MessageGroup(
        Category.MEMORY,
        "Dead stack slot is read",
        (
            KernelMessage(
                rule="stack-poisoned",
                wordings={
                    (
                        "reading from stack off {off}+{part} size {size}, slot poisoned by dead code elimination"
                    ): "7.2-7.3",
                    (
                        "reading from stack {arg} off {off}+{part} size {size}, slot poisoned by dead "
                        "code elimination"
                    ): "7.2-7.3",
                },
                reason=(
                    "The stack at offset {off} is read although the kernel had found that nothing reads it, and had "
                    "removed what wrote it."
                ),
                suggestion=(
                    "This is a disagreement within the kernel; report it to bpf@vger.kernel.org with the program."
                ),
            ),
        ),
    ),
    MessageGroup(
        Category.MEMORY,
        "Misaligned access",
        (
            KernelMessage(
                rule="misaligned",
                wordings={"misaligned {text}access off {text2} size {size}": "5.10-7.3"},
                reason=(
                    "The {text}access of {size} bytes is not aligned, as it must be here for this program or machine."
                ),
                suggestion="Align the field, or read it in bytes.",
            ),
        ),
    ),
    MessageGroup(
        Category.MEMORY,
        "Invalid context access",
        (
            KernelMessage(
                rule="context-released",
                wordings={"invalid bpf_context access off={off}. Reference may already be released": "7.2-7.3"},
                reason=(
                    "The context has no argument at offset {off} any more: its reference may have been given away."
                ),
                suggestion="Use the argument before its reference is released.",
            ),
            KernelMessage(
                rule="context-access",
                wordings={"invalid bpf_context access off={off} size={size}": "5.10-7.3"},
                reason=(
                    "The context of this program type has no field of {size} bytes at offset {off} that may be "
                    "accessed in this way: the field is unknown, read-only, of another size, or not for this attach "
                    "type."
                ),
                suggestion=(
                    "Access the field by its name in the context structure of the program type, in its own size."
                ),
            ),
            KernelMessage(
                rule="context-argument",
                wordings={
                    "func '{name}' offset {off} is not multiple of 8": "5.10-7.3",
                    "func '{name}' doesn't have {number}-th argument": "5.10-7.3",
                    "func '{name}' size {size} must be 8": "6.12-7.3",
                },
                reason="The arguments of {name} are 8 bytes each, and this access is to none of them.",
                suggestion="Take the arguments as the signature of {name} has them.",
                detail=True,
            ),
            KernelMessage(
                rule="context-constant",
                wordings={"BPF_ST stores into {arg} {type} is not allowed": "5.10-6.1"},
                reason="{arg} is of type {type}, and on this kernel no constant may be stored there.",
                suggestion="Put the constant into a register and store that, if the field may be written at all.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.MEMORY,
        "Negative offset is not allowed",
        (
            KernelMessage(
                rule="negative-offset",
                wordings={"negative offset {type} ptr {arg} off={off} disallowed": "6.1-7.3"},
                reason="{arg} was moved to {off} bytes before what it points to.",
                suggestion="Use the pointer as it was handed out.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="buffer-negative-offset",
                wordings={"{arg} invalid negative {what} buffer offset: off={off}, var_off={number}": "7.3"},
                reason="The access in the {what} buffer that {arg} points to begins before the buffer does.",
                suggestion="Use offsets from 0 on.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.MEMORY,
        "Invalid field access",
        (
            KernelMessage(
                rule="object-negative",
                wordings={
                    "{arg} is ptr_{name} invalid negative access: off={off}": "5.10-7.3",
                    "{arg} is {type} invalid negative access: off={off}": "5.10-7.3",
                },
                reason="The access through {arg} is at offset {off}, which lies before the object.",
                suggestion="Access the fields of the structure.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="object-variable",
                wordings={"{arg} is ptr_{name} invalid variable offset: off={off}, var_off={tnum}": "5.10-7.3"},
                reason=(
                    "{arg} points to a struct {name} and was moved by a number that is not known when the program "
                    "is loaded."
                ),
                suggestion="Access fields of kernel structures at constant offsets.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="object-user-memory",
                wordings={
                    "{arg} is ptr_{name} access user memory: off={off}": "6.1-7.3",
                    "{arg} is ptr_{name} access percpu memory: off={off}": "6.1-7.3",
                },
                reason="{arg} points to memory of user space or of one CPU, which a program may not read directly.",
                suggestion="Read it with bpf_probe_read_user() or bpf_per_cpu_ptr().",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="struct-member",
                wordings={
                    (
                        "cannot access ptr member {name} with moff {number} in struct {type} with off "
                        "{off} size {size}"
                    ): "5.10-7.3",
                    (
                        "access beyond the end of member {name} (mend:{number}) in struct {type} with "
                        "off {off} size {size}"
                    ): "5.10-7.3",
                },
                reason=(
                    "The access of {size} bytes at offset {off} of struct {type} covers only a part of member "
                    "{name}, or reaches beyond it."
                ),
                suggestion="Access the member whole, in its own type.",
            ),
            KernelMessage(
                rule="struct-hole",
                wordings={"struct {name} doesn't have field at offset {off}": "5.10-7.3"},
                reason="struct {name} has no member at offset {off} in this kernel.",
                suggestion="Check the type of the pointer, and use CO-RE so that offsets follow the running kernel.",
            ),
            KernelMessage(
                rule="field-access",
                wordings={"{arg} invalid {type} access off={off} size={size}": "5.10-7.3"},
                reason="A {type} has no field of {size} bytes at offset {off} that a program may access.",
                suggestion="Access the fields that uapi/linux/bpf.h lists for this type.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="map-pointer-fields",
                wordings={
                    "map_ptr access not supported without CONFIG_DEBUG_INFO_BTF": "5.10-7.3",
                    "map_ptr access not supported for map type {number}": "5.10-7.3",
                },
                reason="The fields of struct bpf_map cannot be read here.",
                suggestion="Do not read the map's own structure; user space can pass what it knows of it in a value.",
            ),
        ),
    ),
    MessageGroup(
        Category.MEMORY,
        "Access beyond the struct",
        (
            KernelMessage(
                rule="struct-beyond",
                wordings={"access beyond struct {name} at off {off} size {size}": "5.10-7.3"},
                reason="struct {name} has no {size} bytes at offset {off}.",
                suggestion=(
                    "Check the type of the pointer, and that the program was compiled for (or relocated to) this "
                    "kernel's structure."
                ),
            ),
        ),
    ),
    MessageGroup(
        Category.MEMORY,
        "Write is not allowed",
        (
            KernelMessage(
                rule="read-only",
                wordings={"{arg} cannot write into {type}": "5.10-7.3"},
                reason="{arg} is of type {type}, which a program may read but not write.",
                suggestion="Write to memory of the program's own, or use the helper made for it.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="read-only-field",
                wordings={"{arg} cannot write into ptr_{name} at off={off} size={size}": "5.10-7.3"},
                reason="Offset {off} of struct {name} may not be written by a program.",
                suggestion="Write to memory of the program's own, or use the helper or kfunc made for it.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="packet-read-only",
                wordings={
                    "cannot write into packet": "5.10-7.3",
                    "the prog does not allow writes to packet data": "6.12-7.3",
                },
                reason="Programs of this type may read packets but not write them.",
                suggestion="Do the change in a program type that may write packets (XDP, tc).",
            ),
            KernelMessage(
                rule="key-read-only",
                wordings={"write to change key {arg} not allowed": "6.1-7.3"},
                reason="{arg} points to the key of a map element, which must not change.",
                suggestion="Copy the key and change the copy.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="helper-may-write",
                wordings={"{func}() may write into memory pointed by {arg} type={type}": "6.12-7.3"},
                reason=(
                    "{func}() could write to what {arg} points to, a kernel object of type {type} that a program "
                    "may only read."
                ),
                suggestion="Hand a buffer of the program's own to it.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.POLICY,
        "Map access is forbidden",
        (
            KernelMessage(
                rule="map-read-only",
                wordings={
                    "write into map forbidden, value_size={limit} off={off} size={size}": "5.10-7.3",
                    "write into map forbidden": "5.10-7.3",
                },
                reason="The map was made read-only for programs (BPF_F_RDONLY_PROG, or frozen read-only data).",
                suggestion="Drop the flag, or write to another map.",
            ),
            KernelMessage(
                rule="map-write-only",
                wordings={"read from map forbidden, value_size={limit} off={off} size={size}": "5.10-7.3"},
                reason="The map was made write-only for programs (BPF_F_WRONLY_PROG).",
                suggestion="Drop the flag, or read from another map.",
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "Write is not allowed",
        (
            KernelMessage(
                rule="kernel-read-only",
                wordings={
                    "Writes through BTF pointers are not allowed": "5.10",
                    "only read is supported": "5.10-7.3",
                    "only read from {type} is supported": "5.10-7.3",
                },
                reason="Kernel objects reached through this pointer may only be read.",
                suggestion="Use a helper or kfunc that makes the change.",
            ),
        ),
    ),
    MessageGroup(
        Category.MEMORY,
        "Special field is not accessible",
        (
            KernelMessage(
                rule="special-field-direct",
                wordings={
                    "{what} cannot be accessed directly by load/store": "6.12-7.3",
                    "{what} cannot be accessed indirectly by helper": "6.1-7.3",
                },
                reason="The value holds a {what}, which only its own helpers may touch.",
                suggestion="Access the fields around it one by one, and the {what} with its helpers.",
            ),
            KernelMessage(
                rule="special-field-shape",
                wordings={
                    "{what} access cannot have variable offset": "6.1-7.3",
                    "{what} access misaligned expected={number} off={off}": "6.1-7.3",
                    "{what} access size must be BPF_DW": "6.1-7.3",
                },
                reason="A {what} in a map value is read and written as one whole, at its constant offset.",
                suggestion="Access it as the 8-byte pointer that it is.",
            ),
            KernelMessage(
                rule="dynptr-written",
                wordings={"potential write to dynptr at off={off} disallowed": "6.12-7.2"},
                reason=(
                    "The memory that is passed holds a dynptr, at offset {off}, and the call could write over it."
                ),
                suggestion="Pass other memory.",
            ),
            KernelMessage(
                rule="kptr-store",
                wordings={"store to referenced kptr disallowed": "6.1-7.3", "store to uptr disallowed": "7.2-7.3"},
                reason="This pointer in the map value owns a reference and may not simply be overwritten.",
                suggestion="Exchange it with bpf_kptr_xchg().",
            ),
            KernelMessage(
                rule="kptr-mode",
                wordings={
                    "kptr in map can only be accessed using BPF_MEM instruction mode": "6.1-7.3",
                    "kptr in map can only be accessed using BPF_LDX/BPF_STX/BPF_ST": "6.1-7.3",
                    "BPF_ST imm must be 0 when storing to kptr at off={off}": "6.1-7.3",
                },
                reason=(
                    "A kernel pointer in a map value is accessed by plain loads and stores only, and the only "
                    "constant it may be set to is 0."
                ),
                suggestion="Load or store it as a pointer, or use bpf_kptr_xchg().",
            ),
        ),
    ),
    MessageGroup(
        Category.MEMORY,
        "Atomic operation is not allowed here",
        (
            KernelMessage(
                rule="atomic",
                wordings={
                    "BPF_ATOMIC stores into {arg} {type} is not allowed": "6.1-7.3",
                    "BPF_ATOMIC loads from {arg} {type} is not allowed": "7.2-7.3",
                    "BPF_XADD stores into {arg} {type} is not allowed": "5.10",
                },
                reason="{arg} is of type {type}, and operations of this kind are not allowed there.",
                suggestion="Use plain loads and stores, or keep the counter in a map value.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "One instruction for two kinds of pointer",
        (
            KernelMessage(
                rule="mixed-pointers",
                wordings={
                    "same insn cannot be used with different pointers": "5.10-7.3",
                    "same insn cannot be used with and without arena pointer": "7.3",
                },
                reason=(
                    "One path reaches this instruction with one type of pointer, another path with another, and the "
                    "kernel has to rewrite it for one of them."
                ),
                suggestion=(
                    "Give each type of pointer an access of its own; the compiler may have merged two "
                    "(barrier_var() or volatile keeps them apart)."
                ),
            ),
        ),
    ),
)
