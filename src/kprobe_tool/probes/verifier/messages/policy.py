# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages about what a program of a type, licence or loader may do."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import Category, CauseClass
from kprobe_tool.probes.verifier.messages.row import Follow, KernelMessage, MessageGroup

GROUPS = (
    MessageGroup(
        Category.POLICY,
        "Operation is not allowed",
        (
            KernelMessage(
                rule="calls-privilege",
                wordings={
                    (
                        "loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN"
                    ): "6.1-7.3",
                    "function calls to other bpf functions are allowed for CAP_BPF and CAP_SYS_ADMIN": "5.10",
                },
                reason=(
                    "The program has functions or callbacks, calls kernel functions or uses global data by "
                    "reference, and its loader has no CAP_BPF."
                ),
                suggestion="Load with CAP_BPF, or inline all functions.",
            ),
            KernelMessage(
                rule="perfmon-access",
                wordings={"{text} access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN": "5.10, 6.1, 7.3"},
                reason=(
                    "Reading kernel memory like this shows addresses and data of the kernel, and the loader has no "
                    "CAP_PERFMON."
                ),
                suggestion="Load with CAP_PERFMON, or do without the access.",
            ),
            KernelMessage(
                rule="perfmon-kfunc",
                wordings={"{func} is allowed only to CAP_PERFMON and CAP_SYS_ADMIN": "7.3"},
                reason="{func}() is for loaders with CAP_PERFMON.",
                suggestion="Load with CAP_PERFMON.",
            ),
            KernelMessage(
                rule="helper-not-for-type",
                wordings={
                    "program of this type cannot use helper {func}#{number}": "6.12-7.3",
                    "unknown func {func}#{number}": "5.10-6.1",
                },
                reason="Programs of this type, attach type or privilege cannot call {func}() on this kernel.",
                suggestion=(
                    "Use another program type or helper; 'bpftool feature probe' lists what each type may call."
                ),
            ),
            KernelMessage(
                rule="helper-gpl",
                wordings={"cannot call GPL-restricted function from non-GPL compatible program": "5.10-7.3"},
                reason=(
                    "This helper is for programs under a GPL-compatible licence, and the program says it has none."
                ),
                suggestion='If it is under such a licence, declare that: char _license[] SEC("license") = "GPL";',
            ),
            KernelMessage(
                rule="helper-not-allowed",
                wordings={"helper call is not allowed in probe": "5.10-7.3"},
                reason="This helper is not allowed where the program is going to be attached.",
                suggestion="Do without it.",
            ),
            KernelMessage(
                rule="kfunc-not-allowed",
                wordings={"calling kernel function {func} is not allowed": "6.1-7.3"},
                reason="{func}() is not registered for programs of this type.",
                suggestion="Use another program type, or another function.",
            ),
            KernelMessage(
                rule="kfunc-destructive",
                wordings={
                    "destructive kfunc calls require CAP_SYS_BOOT capability": "6.12-7.3",
                    "destructive kfunc calls require CAP_SYS_BOOT capabilities": "6.1",
                },
                reason="The function can take the system down, and the loader has no CAP_SYS_BOOT.",
                suggestion="Load with CAP_SYS_BOOT.",
            ),
            KernelMessage(
                rule="helper-attach-type",
                wordings={
                    "func {func}#{number} supported only for fentry/fexit/fmod_ret programs": "6.1-6.12",
                    "func {func}#{number} supported only for fentry/fexit/fsession/fmod_ret programs": "7.2-7.3",
                    "func {func}#{number} not supported for program type {id}": "6.1-7.3",
                },
                reason="{func}() does not work for this program or attach type.",
                suggestion="Use another program type or helper.",
            ),
            KernelMessage(
                rule="iterator-type",
                wordings={"css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs": "6.12-7.3"},
                reason="This iterator may sleep or take locks, which programs of this type may not do.",
                suggestion="Use it in a program of these types.",
            ),
        ),
        CauseClass.ENVIRONMENT,
        "the message is about what this type of program may do on this kernel",
    ),
    MessageGroup(
        Category.POLICY,
        "Not GPL compatible",
        (
            KernelMessage(
                rule="not-gpl",
                wordings={
                    "cannot call kernel function from non-GPL compatible program": "6.1-7.3",
                    "Cannot access kernel 'struct {name}' from non-GPL compatible program": "6.12-7.3",
                    "LSM programs must have a GPL compatible license": "5.10-7.3",
                    "struct ops programs must have a GPL compatible license": "5.10-7.3",
                },
                reason=(
                    "Calling kernel functions, reading kernel structures, LSM and struct_ops programs: all of these "
                    "are for programs under a GPL-compatible licence, and this one declares none."
                ),
                suggestion='If it is under such a licence, declare that: char _license[] SEC("license") = "GPL";',
            ),
        ),
        CauseClass.SOURCE,
        "the message is about the program's licence",
    ),
    MessageGroup(
        Category.MALFORMED,
        "Unresolved CO-RE relocation",
        (
            KernelMessage(
                rule="poisoned-call",
                wordings={"invalid func unknown#195896080": "5.10-7.3"},
                reason=(
                    "libbpf has put this call in place of a CO-RE relocation that cannot be done on this kernel: a "
                    "structure, field or enumerator does not exist here, and the code that uses it can be reached."
                ),
                suggestion=(
                    "Guard the access with bpf_core_field_exists() or its relatives; libbpf's debug output names "
                    "the relocation."
                ),
            ),
        ),
        CauseClass.ENVIRONMENT,
        "the object asks for a type, field or function that this kernel does not have",
    ),
    MessageGroup(
        Category.POLICY,
        "Unknown helper",
        (
            KernelMessage(
                rule="unknown-helper",
                wordings={"invalid func {func}#{number}": "5.10-7.3"},
                reason=(
                    "This kernel has no helper with number {number}: it is newer than the kernel, or a relocation "
                    "was not done."
                ),
                suggestion="Check since which kernel the helper exists, or use another one.",
            ),
        ),
        CauseClass.ENVIRONMENT,
        "this kernel does not have the helper",
    ),
    MessageGroup(
        Category.POLICY,
        "Return value out of range",
        (
            KernelMessage(
                rule="return-value",
                wordings={"{where} the register {arg} has{state} should have been in {range_text}": "5.10-7.3"},
                reason="{where} {arg} has{state}, and the value must lie in {range_text}.",
                suggestion="Return a constant of this range on every path.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="return-value-old",
                wordings={"{where} the register {arg} has {what} should have been 0 or 1": "5.0-5.2"},
                reason="{where} {arg} has {what}, and programs of this type return 0 or 1.",
                suggestion="Return 0 or 1 on every path, as a constant.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="return-value-unknown",
                wordings={"{where} the register {arg} is not a known value ({type})": "6.12-7.3"},
                reason="{where} {arg} is of type {type}, and a number of a known range is wanted.",
                suggestion="Return a constant on every path.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="return-value-lsm",
                wordings={"BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!": "6.1-7.3"},
                reason="The hook returns nothing, so the program may not set a return value.",
                suggestion="Drop the call to bpf_set_retval().",
            ),
        ),
        CauseClass.SOURCE,
        "the message names the values that may be returned",
    ),
    MessageGroup(
        Category.POLICY,
        "Legacy packet access is not allowed",
        (
            KernelMessage(
                rule="packet-load-type",
                wordings={"BPF_LD_[ABS|IND] instructions not allowed for this program type": "5.10-7.3"},
                reason=(
                    "The old instructions for packet access (BPF_LD_ABS, BPF_LD_IND) are for socket filters, tc and "
                    "cgroup programs."
                ),
                suggestion="Use bpf_skb_load_bytes() or direct packet access.",
            ),
        ),
        CauseClass.ENVIRONMENT,
        "the message is about the type of program",
    ),
    MessageGroup(
        Category.POLICY,
        "Map is not allowed for this program type",
        (
            KernelMessage(
                rule="map-not-for-program",
                wordings={
                    "tracing progs cannot use {what} yet": "5.10-7.3",
                    "socket filter progs cannot use bpf_spin_lock yet": "6.1-7.3",
                    "sleepable progs cannot use bpf_spin_lock yet": "6.1",
                    "Sleepable programs can only use array, hash, ringbuf and local storage maps": "6.12-7.3",
                    "Sleepable programs can only use array, hash, and ringbuf maps": "6.1",
                    "Sleepable programs can only use array and hash maps": "5.10",
                    "Sleepable programs can only use preallocated hash maps": "5.10",
                    "trace type programs can only use preallocated hash map": "5.10",
                    "perf_event programs can only use preallocated hash map": "5.10",
                    "bpf_struct_ops map cannot be used in prog": "5.10-7.3",
                    "offload device mismatch between prog and map": "5.10-7.3",
                    "only one cgroup storage of each type is allowed": "5.10-7.3",
                    "Only one arena per program": "6.12-7.3",
                    "CAP_BPF and CAP_PERFMON are required to use arena": "6.12-7.3",
                    "{func} cannot be used in tracing programs on types with NMI unsafe fields": "7.2-7.3",
                },
                reason="A map of this kind, or with this kind of field, may not be used by this program.",
                suggestion="Use another type of map, or another program type.",
            ),
        ),
        CauseClass.ENVIRONMENT,
        "the message is about the type of program",
    ),
    MessageGroup(
        Category.POLICY,
        "Missing kernel support",
        (
            KernelMessage(
                rule="kernel-support",
                wordings={
                    "kernel is missing BTF, make sure CONFIG_DEBUG_INFO_BTF=y is specified in Kconfig.": "5.10-7.3",
                    "calling kernel function is not supported without CONFIG_DEBUG_INFO_BTF": "6.1-7.3",
                    "JIT is required for calling kernel function": "6.1-7.3",
                    "JIT does not support calling kernel function": "6.1-7.3",
                    "JIT does not support calling kfunc {func}#{number}": "6.12-7.3",
                    "JIT doesn't support bpf-to-bpf calls": "5.10-7.3",
                    "calling kernel functions are not allowed in non-JITed programs": "6.1-6.12",
                    "callbacks are not allowed in non-JITed programs": "6.1-7.3",
                    "program requires BPF JIT compiler but it is not available": "7.2-7.3",
                    "JIT is required to use arena": "6.12-7.3",
                    "JIT doesn't support arena": "6.12-7.3",
                    "Private stack not supported by jit": "7.2-7.3",
                    "stack args are not supported in non-JITed programs": "7.2-7.3",
                    "JIT does not support fsession": "7.2-7.3",
                    "bpf_timer cannot be used for PREEMPT_RT.": "6.1-7.3",
                    "sign extending loads from arena are not supported yet": "6.12-7.3",
                    "JIT does not support kfunc {func}() with {count} args": "7.2-7.3",
                    "JIT does not support arena arguments": "7.3",
                    "in-kernel BTF is malformed": "5.10-7.3",
                    "btf_vmlinux is malformed": "5.10-7.3",
                },
                reason=(
                    "The kernel lacks what this program needs: BTF of its own (CONFIG_DEBUG_INFO_BTF) or a JIT "
                    "compiler that can do this."
                ),
                suggestion="Enable the JIT (net.core.bpf_jit_enable=1), or use a kernel that has it.",
            ),
        ),
        CauseClass.ENVIRONMENT,
        "the message is about what the kernel was built with",
    ),
    MessageGroup(
        Category.POLICY,
        "Signature does not hold",
        (
            KernelMessage(
                rule="signature",
                wordings={
                    "signature verification failed: {number}": "7.3",
                    "signed program cannot bind map '{name}' not covered by the signature": "7.3",
                    "signed program cannot bind any BTF": "7.3",
                    "signed program must bind maps via a continuous fd_array (fd_array_cnt)": "7.3",
                    "signed program cannot reference a map by fd, only via fd_array index": "7.3",
                    "program's hash doesn't match map's excl_prog_hash": "7.2-7.3",
                },
                reason=(
                    "The program is signed, and it or a map that it uses is not what was signed; or the map is for "
                    "another program alone (excl_prog_hash)."
                ),
                suggestion="Sign the program as it is loaded, with a key that this kernel trusts.",
            ),
        ),
        CauseClass.ENVIRONMENT,
        "the message is about the signature",
    ),
    MessageGroup(
        Category.POLICY,
        "Program cannot be sleepable",
        (
            KernelMessage(
                rule="sleepable-program",
                wordings={
                    "Program of this type cannot be sleepable": "7.2-7.3",
                    "Syscall programs can only be sleepable": "6.1-7.3",
                    "Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable": "6.12",
                    "Only fentry/fexit/fmod_ret, lsm, and kprobe/uprobe programs can be sleepable": "6.1",
                    "Only fentry/fexit/fmod_ret and lsm programs can be sleepable": "5.10",
                    "BPF_LSM_CGROUP programs cannot be sleepable": "6.1",
                },
                reason=(
                    "Programs of this type cannot be loaded as sleepable (BPF_F_SLEEPABLE). Programs of type syscall "
                    "must be."
                ),
                suggestion="Use the section name without .s; load syscall programs with BPF_F_SLEEPABLE.",
            ),
        ),
    ),
)
