# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages about instructions and attributes that no compiler makes."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import Category, CauseClass
from kprobe_tool.probes.verifier.messages.row import KernelMessage, MessageGroup

GROUPS = (
    MessageGroup(
        Category.MALFORMED,
        "Invalid instruction",
        (
            KernelMessage(
                rule="reserved-fields",
                wordings={"{what} uses reserved fields": "5.10-7.3"},
                reason="The {what} instruction has a value in a field that must be 0.",
                suggestion=(
                    "Correct what generates the instruction. If a compiler did, the instruction is too new for this "
                    "kernel: calls of kernel functions (BPF_CALL) need v5.13, atomic operations other than add "
                    "(BPF_XADD) need v5.12."
                ),
            ),
            KernelMessage(
                rule="unknown-opcode",
                wordings={
                    "unknown opcode {hex}": "5.10-7.3",
                    "invalid BPF_ALU opcode {hex}": "5.10-7.3",
                    "invalid BPF_JMP/JMP32 opcode {hex}": "5.10-7.3",
                    "unknown insn class {number}": "5.10-7.3",
                    "BPF_ATOMIC uses invalid atomic opcode {hex}": "6.1-7.3",
                    "invalid atomic operand size": "6.1-7.3",
                    "invalid BPF_LD mode": "5.10-7.3",
                    "invalid may_goto imm {number}": "7.2-7.3",
                    "invalid may_goto off {off} imm {number}": "6.12",
                },
                reason="This kernel knows no such instruction.",
                suggestion="Compile for an older instruction set (-mcpu=v3 or v2), or use a newer kernel.",
            ),
            KernelMessage(
                rule="ldimm64",
                wordings={
                    "invalid bpf_ld_imm64 insn": "5.10-7.3",
                    "unrecognized bpf_ld_imm64 insn": "5.10-7.3",
                    "invalid BPF_LD_IMM insn": "5.10-7.3",
                },
                reason="A 16-byte load instruction is cut in half, or is of a kind that this kernel does not know.",
                suggestion=(
                    "Check what generates it: both halves are needed, the second with only its immediate set. The "
                    "address of a function, as callbacks need it, can be loaded from v5.13 on."
                ),
            ),
            KernelMessage(
                rule="register-number",
                wordings={"{arg} is invalid": "5.10-7.3"},
                reason="The instruction names {arg}, and a program has R0 to R10.",
                suggestion="Correct what generates the instruction.",
            ),
            KernelMessage(
                rule="division-by-zero",
                wordings={"div by zero": "5.10-7.3"},
                reason="The divisor is the constant 0.",
                suggestion="Divide by something else.",
            ),
            KernelMessage(
                rule="shift-width",
                wordings={"invalid shift {number}": "5.10-7.3"},
                reason="A shift by {number} bits is not possible in a register of this width.",
                suggestion="Shift by less than its width.",
            ),
            KernelMessage(
                rule="address-space",
                wordings={
                    "addr_space_cast insn can only convert between address space 1 and 0": "6.12-7.3",
                    "addr_space_cast insn can only be used in a program that has an associated arena": "6.12-7.3",
                },
                reason=(
                    "The instruction converts arena pointers, and this program has no arena or converts something "
                    "else."
                ),
                suggestion="Use a map of type arena in the program.",
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "Legacy packet access without context",
        (
            KernelMessage(
                rule="packet-load-context",
                wordings={"at the time of BPF_LD_ABS|IND R6 != pointer to skb": "5.10-7.3"},
                reason="The old instructions that load from a packet take the context from R6, and it is not there.",
                suggestion="Copy the context to R6 before them.",
            ),
        ),
    ),
    MessageGroup(
        Category.MALFORMED,
        "Bad map file descriptor",
        (
            KernelMessage(
                rule="map-fd",
                wordings={
                    "fd {number} is not pointing to valid bpf_map": "5.10-7.3",
                    "fd {number} is not pointing to valid bpf_map or btf": "7.2-7.3",
                    "fd_idx without fd_array is invalid": "6.1-7.3",
                    "fd_array has too many entries ({count}, max {limit})": "7.3",
                    "fd_array_cnt {count} without fd_array is invalid": "7.3",
                    "fd_idx {number} is not a map": "7.3",
                    "fd_idx {number} out of bounds, fd_array_cnt {count}": "7.3",
                    "no direct value access support for this map type": "5.10-7.3",
                },
                reason=(
                    "An instruction refers to a map by a file descriptor that is not one of a map, or by a wrong "
                    "index, or in a way that this type of map does not allow."
                ),
                suggestion=(
                    "Create the map first and let the loader do the relocations; check that the descriptor was not "
                    "closed. Descriptor 0 stands where a global variable or a string constant was not relocated: put "
                    "it on the stack where the loader knows no global data."
                ),
            ),
        ),
        CauseClass.ENVIRONMENT,
        "the loader put no map there",
    ),
    MessageGroup(
        Category.MALFORMED,
        "Missing attach_btf_id",
        (
            KernelMessage(
                rule="attach-btf-id-missing",
                wordings={
                    "Tracing programs must provide btf_id": "5.10-7.3",
                    "attach_btf_id 0 is not a function": "5.10-7.3",
                },
                reason=(
                    "A program of this type is loaded for one kernel function or hook, and the loader did not say "
                    "for which."
                ),
                suggestion=(
                    "Set attach_btf_id; with libbpf, name the target in the section name or with "
                    "bpf_program__set_attach_target()."
                ),
            ),
        ),
        CauseClass.ENVIRONMENT,
        "the loader named nothing to attach to",
    ),
    MessageGroup(
        Category.MALFORMED,
        "Bad attach_btf_id",
        (
            KernelMessage(
                rule="attach-target",
                wordings={
                    "attach_btf_id {id} is invalid": "5.10-7.3",
                    "attach_btf_id {id} doesn't have a name": "5.10-7.3",
                    "attach_btf_id {id} is not a function": "5.10-7.3",
                    "attach_btf_id {id} is not a typedef": "5.10-7.3",
                    "attach_btf_id {id} is not a supported struct": "5.10-7.3",
                    "attach_btf_id {id} points to wrong type name {name}": "5.10-7.3",
                    "attach_btf_id {id} points to disabled hook {name}": "6.1-7.3",
                    "Subprog {name} doesn't exist": "5.10-7.3",
                    "The address of function {name} cannot be found": "5.10-7.3",
                    "{name} is not sleepable": "5.10-7.3",
                    "{name}() is not modifiable": "5.10-7.3",
                    "can't modify return codes of BPF programs": "5.10-7.3",
                    "attach to unsupported member {name} of struct {type}": "5.10-7.3",
                    "attach to invalid member idx {number} of struct {type}": "5.10-7.3",
                    "Cannot recursively attach": "5.10-7.3",
                    "Cannot replace kernel functions": "5.10-7.3",
                    "Cannot replace static functions": "5.10-7.3",
                    "Can attach to only JITed progs": "5.10-7.3",
                    "Attaching fexit/fmod_ret to __noreturn functions is rejected.": "6.12",
                    "Attaching fexit/fsession/fmod_ret to __noreturn function '{name}' is rejected.": "7.2-7.3",
                    "Attaching tracing programs to function '{name}' is rejected.": "7.2-7.3",
                    "Cannot nest tracing program attach more than once": "6.12-7.3",
                    "Cannot extend fentry/fexit": "5.10-6.12",
                    "Sleepable program cannot attach to non-faultable tracepoint {name}": "7.2-7.3",
                    "struct_ops module {name} is not found": "6.12-7.3",
                    "ret type {word} not allowed for fmod_ret": "5.10-7.3",
                    "Only FENTRY/FEXIT progs are attachable to another BPF prog": "5.10-6.12",
                    "Only FENTRY/FEXIT/FSESSION progs are attachable to another BPF prog": "7.2-7.3",
                    "Cannot extend fentry/fexit/fsession": "7.2-7.3",
                    "Extension program changes packet data, while original does not": "6.12-7.3",
                    "Extension program may sleep, while original does not": "7.2-7.3",
                    "FENTRY/FEXIT program can only be attached to another program annotated with BTF": "5.10-6.12",
                    "Tracing program can only be attached to another program annotated with BTF": "7.2-7.3",
                    (
                        "Attach to function {name} with a >8 byte return value is not supported for this attach type"
                    ): "6.12-7.3",
                },
                reason=(
                    "What the program is to be attached to does not exist on this kernel, or does not take programs "
                    "of this type."
                ),
                suggestion=(
                    "Check the name of the target against this kernel (bpftool btf dump file "
                    "/sys/kernel/btf/vmlinux)."
                ),
            ),
        ),
        CauseClass.ENVIRONMENT,
        "what the loader named cannot be attached to on this kernel",
    ),
    MessageGroup(
        Category.MALFORMED,
        "Unresolved kernel function",
        (
            KernelMessage(
                rule="kernel-function",
                wordings={
                    "kernel btf_id {id} is not a function": "6.1-7.3",
                    "kernel function btf_id {id} does not have a valid func_proto": "6.1-7.3",
                    "failed to find BTF for kernel function": "6.1-7.3",
                    "cannot find address for kernel function {func}": "6.1-7.3",
                    "address of kernel function {func} is out of range": "6.1-6.12",
                    "cannot find function {func} in BTF": "7.2-7.3",
                    "invalid kernel function btf_id {id}": "7.2-7.3",
                    "invalid module BTF fd specified": "6.1-7.3",
                    "kfunc offset > 0 without fd_array is invalid": "6.1-7.3",
                    "negative offset disallowed for kernel module function call": "6.1-7.3",
                    "BTF fd for kfunc is not a module BTF": "6.1-7.3",
                    "invalid kernel function call not eliminated in verifier pass": "6.1-7.3",
                },
                reason="The program calls a kernel function that this kernel does not have under this number.",
                suggestion=(
                    "Let libbpf resolve the function by name against the running kernel; declare it __weak where the "
                    "program can do without it."
                ),
            ),
        ),
        CauseClass.ENVIRONMENT,
        "the loader or this kernel does not have the function",
    ),
    MessageGroup(
        Category.MALFORMED,
        "Unknown kernel symbol",
        (
            KernelMessage(
                rule="kernel-symbol",
                wordings={
                    "ldimm64 failed to find the address for kernel symbol '{name}'.": "5.10-7.3",
                    "ldimm64 insn specifies invalid btf_id {id}.": "5.10-7.3",
                    "pseudo btf_id {id} in ldimm64 isn't KIND_VAR or KIND_FUNC": "6.12-7.3",
                    "pseudo btf_id {id} in ldimm64 isn't KIND_VAR.": "5.10-6.1",
                    "ldimm64 unable to resolve the size of type '{name}': {number}": "5.10-7.3",
                    "invalid module BTF object FD specified.": "6.1-7.3",
                },
                reason="The program takes the address of a kernel variable that this kernel does not have.",
                suggestion="Let libbpf resolve it by name (__ksym); declare it __weak where it may be missing.",
            ),
        ),
        CauseClass.ENVIRONMENT,
        "this kernel does not have the symbol",
    ),
    MessageGroup(
        Category.MALFORMED,
        "Missing BTF",
        (
            KernelMessage(
                rule="btf-missing",
                wordings={
                    "missing btf func_info": "6.1-7.3",
                    "bpf_obj_new/bpf_percpu_obj_new requires prog BTF": "6.12-7.3",
                },
                reason=(
                    "The program takes the address of a function or makes objects, and came without the BTF that "
                    "this needs."
                ),
                suggestion="Compile with -g and load with libbpf.",
            ),
        ),
        CauseClass.COMPILER,
        "the object has no BTF for it",
    ),
    MessageGroup(
        Category.MALFORMED,
        "Invalid BTF info",
        (
            KernelMessage(
                rule="btf-info",
                wordings={
                    "number of funcs in func_info doesn't match number of subprogs": "5.10-7.3",
                    "invalid func info rec size {size}": "5.10-7.3",
                    "nonzero tailing record in func info": "5.10-7.3",
                    "nonzero insn_off {off} for the first func info record": "5.10-7.3",
                    "same or smaller insn offset ({off}) than previous func info record ({number})": "5.10-7.3",
                    "func_info BTF section doesn't match subprog layout in BPF program": "5.10-7.3",
                    "invalid type id {id} in func info": "5.10-7.3",
                    "nonzero tailing record in line_info": "5.10-7.3",
                    "Invalid line_info[{number}].insn_off:{off} (prev_offset:{id} prog->len:{count})": "5.10-7.3",
                    "Invalid insn code at line_info[{number}].insn_off": "5.10-7.3",
                    "Invalid line_info[{number}].line_off or .file_name_off": "5.10-7.3",
                    "missing bpf_line_info for func#{number}": "5.10-7.3",
                    "missing bpf_line_info for {count} funcs starting from func#{number}": "5.10-7.3",
                    "nonzero tailing record in core_relo": "6.1-7.3",
                    "Invalid core_relo[{number}].insn_off:{off} prog->len:{count}": "6.1-7.3",
                    "invalid btf id for main subprog in func_info": "6.12-7.3",
                },
                reason=(
                    "The information about functions and lines that came with the program does not fit its "
                    "instructions."
                ),
                suggestion=(
                    "Let libbpf load the object file; what patches instructions must patch this information, too."
                ),
            ),
        ),
    ),
)
