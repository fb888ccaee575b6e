# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages about allocated objects, arenas and tables of instructions, and types that are named by BTF ids."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import Category, CauseClass
from kprobe_tool.probes.verifier.messages.row import Follow, KernelMessage, MessageGroup

GROUPS = (
    MessageGroup(
        Category.CALL,
        "Type cannot be used here",
        (
            KernelMessage(
                rule="object-type",
                wordings={
                    "local type ID argument must be in range [0, U32_MAX]": "7.3",
                    "bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct": "7.3",
                },
                reason="bpf_obj_new() allocates structures of the program's own, and is asked for something else.",
                suggestion="Call it as bpf_obj_new(typeof(struct NAME)).",
            ),
            KernelMessage(
                rule="percpu-object-size",
                wordings={"bpf_percpu_obj_new type size ({size}) is greater than {limit}": "7.3"},
                reason="The structure has {size} bytes, and an object for each processor can have {limit}.",
                suggestion="Make the structure smaller, or use a per-CPU map.",
            ),
            KernelMessage(
                rule="percpu-object-fields",
                wordings={
                    "bpf_percpu_obj_new type ID argument must be of a struct of scalars": "7.3",
                    "bpf_percpu_obj_new type ID argument must not contain special fields": "7.3",
                },
                reason=(
                    "An object for each processor can hold numbers only, and this structure has pointers, locks, "
                    "lists or the like in it."
                ),
                suggestion="Keep numbers in it, and the rest in a bpf_obj_new() object or a map.",
            ),
            KernelMessage(
                rule="cast-type-unknown",
                wordings={"Unknown type ID {id} passed to kfunc bpf_rdonly_cast": "7.3"},
                reason="bpf_rdonly_cast() is given the type {id}, which the kernel's BTF does not have.",
                suggestion="Pass bpf_core_type_id_kernel(struct NAME), and load on a kernel that has the structure.",
            ),
            KernelMessage(
                rule="cast-type",
                wordings={
                    "kfunc bpf_rdonly_cast type ID argument must be of a struct or void": "7.3",
                },
                reason="bpf_rdonly_cast() makes pointers to structures of the kernel's, and is given another type.",
                suggestion="Cast to a structure.",
            ),
            KernelMessage(
                rule="list-node-type",
                wordings={
                    "operation on {what} expects {arg} {what2} at offset={off} in struct {name}, but arg is at "
                    "offset={number} in struct {word}": "7.3",
                },
                reason=(
                    "This {what} holds nodes at offset {off} of struct {name}, as its __contains() says, and the "
                    "node that is passed is at offset {number} of struct {word}."
                ),
                suggestion="Pass the node of the structure that the list or tree was declared for.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="list-node-offset",
                wordings={
                    "{arg} offset={number}, but expected {what} at offset={off} in struct {name}": "7.3",
                },
                reason="The {what} of struct {name} is at offset {off}, and the pointer is at offset {number}.",
                suggestion="Pass the address of that field.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="function-returns-unsupported",
                wordings={
                    "kernel function {func} returns pointer type {what} {name} is not supported": "7.3",
                    "acquire kernel function does not return PTR_TO_BTF_ID": "7.3",
                    "invalid return type {number} of func {name}#{id}": "7.3",
                    "unknown return type {number} of func {name}#{id}": "7.3",
                },
                reason="The verifier does not know how to treat what the called kernel function returns.",
                suggestion="Use another function: this one is not made for programs on this kernel.",
            ),
            KernelMessage(
                rule="callback-rejected",
                wordings={"kfunc {func}#{id} failed callback verification": "7.3"},
                reason="The callback that is passed to {func}() cannot be checked; the lines before say why.",
                suggestion="See the messages before.",
                detail=True,
            ),
            KernelMessage(
                rule="symbol-size-unknown",
                wordings={"unable to resolve the size of type '{name}': {number}": "7.3"},
                reason="The type {name} has no size in BTF, so no memory of it can be accessed.",
                suggestion="Use a type that is defined.",
            ),
            KernelMessage(
                rule="argument-nesting",
                wordings={"max struct nesting depth exceeded": "6.1-7.3"},
                reason=(
                    "The memory that is passed is a structure which has structures within structures, deeper than "
                    "the verifier looks."
                ),
                suggestion="Pass a flatter structure.",
                detail=True,
            ),
            KernelMessage(
                rule="kernel-function-index",
                wordings={
                    "kfunc fd_idx {number} out of bounds, fd_array_cnt {count}": "7.3",
                    "kfunc fd_idx {number} is not a module BTF": "7.3",
                },
                reason=(
                    "The program calls a function of a kernel module, and the loader passed no BTF of the module "
                    "where the call says."
                ),
                suggestion="Load the module first, and use a current libbpf.",
            ),
        ),
    ),
    MessageGroup(
        Category.CALL,
        "Arena pointer cannot be passed",
        (
            KernelMessage(
                rule="arena-missing",
                wordings={
                    "{arg} arena pointer requires a program with an associated arena": "7.3",
                    "arena argument of {name} requires a program with an associated arena": "7.3",
                },
                reason="A pointer into an arena is passed, and the program uses no map of type arena.",
                suggestion=(
                    "Refer to the arena's map in the program; libbpf needs it used in at least one instruction."
                ),
            ),
            KernelMessage(
                rule="arena-stack-argument",
                wordings={
                    "{arg} arena pointer cannot be a stack argument": "7.3",
                    "{arg} prog->aux cannot be a stack argument": "7.3",
                },
                reason="{arg} is passed on the stack, and this kind of argument must be one of the first five.",
                suggestion="Make it an earlier parameter.",
            ),
            KernelMessage(
                rule="arena-function-jit",
                wordings={"JIT does not support kfunc {func}() with arena pointer arguments": "7.3"},
                reason="The JIT compiler for this processor cannot pass arena pointers to {func}().",
                suggestion="Use a newer kernel, or another processor architecture.",
            ),
            KernelMessage(
                rule="arena-address",
                wordings={"arena's user address must be set via map_extra or mmap()": "7.3"},
                reason="The arena has no address in user space yet.",
                suggestion=(
                    "Map the arena's file descriptor with mmap() before the program is loaded, as libbpf does."
                ),
            ),
        ),
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Invalid indirect jump",
        (
            KernelMessage(
                rule="jump-table-read",
                wordings={"Invalid read of {size} bytes from insn_array": "7.3"},
                reason="The program reads {size} bytes of a jump table, whose entries are read whole: 8 bytes.",
                suggestion="Load entries of a jump table as 64-bit values.",
            ),
            KernelMessage(
                rule="jump-target-type",
                wordings={"{arg} has type {type}, expected PTR_TO_INSN": "7.3"},
                reason="The program jumps to where {arg} says, and {arg} was not loaded from a jump table.",
                suggestion="Jump only to what was read from a jump table (a map of type insn_array), unchanged.",
                follow=Follow.REGISTER,
                lost_pointer=True,
            ),
            KernelMessage(
                rule="jump-index",
                wordings={
                    "the sum of {arg} umin_value {number} is too big": "7.3",
                    "the sum of {arg} umax_value {number} is too big": "7.3",
                    "{arg} points to outside of jump table: [{low},{high}] max_entries {limit}": "7.3",
                    "register {arg} doesn't point to any offset in map id={id}": "7.3",
                },
                reason="{arg} may lie behind the end of the jump table, or at none of its entries.",
                suggestion="Compare the index with the number of entries before the jump.",
                follow=Follow.REGISTER,
                lost_bound=True,
            ),
            KernelMessage(
                rule="jump-table-invalid",
                wordings={"Failed to properly initialize insn array": "7.3"},
                reason=(
                    "The jump table has an entry that is no instruction of this program, or is used by another one."
                ),
                suggestion="Make one table for each program, with instructions of that program only, and freeze it.",
            ),
        ),
    ),
    MessageGroup(
        Category.POLICY,
        "Operation is not allowed",
        (
            KernelMessage(
                rule="allocated-field-direct",
                wordings={"direct access to {what} is disallowed": "7.3"},
                reason="The access touches a {what} inside an allocated object, which only its functions may do.",
                suggestion="Use the functions that the {what} has, and access the other fields one by one.",
            ),
            KernelMessage(
                rule="field-type",
                wordings={
                    "Type '{name}' is not a struct": "7.3",
                    "type '{name}' has multiple type tags": "7.3",
                },
                reason="The program follows a pointer to {name}, which the verifier cannot look into.",
                suggestion="Read it with bpf_probe_read_kernel() or bpf_core_read().",
            ),
            KernelMessage(
                rule="tcp-sock-write",
                wordings={"no write support to tcp_sock at off {off}": "7.3"},
                reason="A congestion control may write few fields of struct tcp_sock, and none at offset {off}.",
                suggestion=(
                    "Write only snd_cwnd, snd_cwnd_cnt, snd_cwnd_stamp, snd_ssthresh, ecn_flags and app_limited."
                ),
            ),
            KernelMessage(
                rule="tcp-sock-write-size",
                wordings={
                    (
                        "write access at off {off} with size {size} beyond the member of tcp_sock ended at {number}"
                    ): "7.3",
                },
                reason="{size} bytes are written at offset {off}, and the field of struct tcp_sock ends at {number}.",
                suggestion="Write the field with its own size.",
            ),
            KernelMessage(
                rule="metadata-function-device",
                wordings={
                    "metadata kfuncs require device-bound program": "7.3",
                    "metadata kfuncs can't be offloaded": "7.3",
                },
                reason=(
                    "The program asks the network card about a packet (bpf_xdp_metadata_...). Only programs can do "
                    "so that are loaded for one device and run on the processor, not on the card."
                ),
                suggestion="Load it with the device's index and BPF_F_XDP_DEV_BOUND_ONLY.",
            ),
            KernelMessage(
                rule="local-storage-flags",
                wordings={"get_local_storage() doesn't support non-zero flags": "7.3"},
                reason="The second argument of bpf_get_local_storage() is reserved.",
                suggestion="Pass 0.",
            ),
            KernelMessage(
                rule="tail-call-several-maps",
                wordings={"tail_call abusing map_ptr": "7.3"},
                reason=(
                    "One bpf_tail_call() instruction is reached with different maps, or with a map that only the "
                    "running program knows."
                ),
                suggestion="Write one bpf_tail_call() for each map, in branches that the compiler does not merge.",
            ),
            KernelMessage(
                rule="atomics-64-bit",
                wordings={
                    "64-bit load-acquires are only supported on 64-bit arches": "7.3",
                    "64-bit store-releases are only supported on 64-bit arches": "7.3",
                },
                reason="This processor has 32 bits, and no such atomic access of 64.",
                suggestion="Use 32-bit variables.",
            ),
            KernelMessage(
                rule="signature-key",
                wordings={"cannot resolve signing keyring with keyring_id {number}": "7.3"},
                reason="The program is signed, and the key ring {number} that shall hold the key is not there.",
                suggestion="Create the key ring with the key, and pass its id.",
            ),
            KernelMessage(
                rule="signature-map",
                wordings={
                    "signed program metadata map '{name}' must be an array": "7.3",
                    "signed program metadata map '{name}' must be frozen": "7.3",
                    "signed program metadata map '{name}' has active writers": "7.3",
                    "signed program metadata map '{name}' must be exclusive": "7.3",
                    "failed to read signed metadata map '{name}': {number}": "7.3",
                },
                reason="The program's signature covers the map {name}, whose contents could still change.",
                suggestion="Make it an array for this program alone, and freeze it before the program is loaded.",
            ),
            KernelMessage(
                rule="signature-size",
                wordings={"signed payload too large: {size} bytes": "7.3"},
                reason="What the signature covers has {size} bytes, more than the kernel checks.",
                suggestion="Keep less in the maps that the signature covers.",
            ),
        ),
    ),
    MessageGroup(
        Category.LIMIT,
        "Stack depth",
        (
            KernelMessage(
                rule="interpreter-stack-depth",
                wordings={"stack depth {size} exceeds interpreter stack depth limit": "7.3"},
                reason=(
                    "The functions use {size} bytes of stack, more than the interpreter has; the JIT compiler is off."
                ),
                suggestion="Set /proc/sys/net/core/bpf_jit_enable to 1, or keep less on the stack.",
            ),
        ),
        CauseClass.ENVIRONMENT,
        "the message is about the interpreter, which runs programs only where the JIT compiler does not",
    ),
)
