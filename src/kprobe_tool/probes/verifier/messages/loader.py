# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages of libbpf: about what it could not prepare, and what it puts in place of the kernel's words.

fixup_verifier_log() in tools/lib/bpf/libbpf.c replaces what the verifier says of instructions that libbpf has
poisoned.
"""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import Category, CauseClass
from kprobe_tool.probes.verifier.messages.row import KernelMessage, MessageGroup

GROUPS = (
    MessageGroup(
        Category.LOADER,
        "Nothing to attach to",
        (
            KernelMessage(
                rule="attach-target-not-found",
                wordings={
                    "failed to find kernel BTF type ID of '{name}': {number}": "5.10-7.3",
                    "failed to find BTF info for attach target '{name}': {number}": "5.10-7.3",
                },
                reason=(
                    "The kernel has nothing of the name {name} that this program could be attached to; the verifier "
                    "was not asked."
                ),
                suggestion=(
                    "Look for the function's real name: 'bpftool btf dump file /sys/kernel/btf/vmlinux | grep "
                    "{name}'. System calls are named __x64_sys_NAME or __arm64_sys_NAME there, and functions that "
                    "the compiler has inlined are not there at all."
                ),
            ),
            KernelMessage(
                rule="kernel-btf-not-found",
                wordings={
                    "failed to find valid kernel BTF": "5.10-7.3",
                    "Error loading vmlinux BTF: {number}": "5.10-7.3",
                },
                reason="The kernel has no BTF of its own, or the loader may not read it.",
                suggestion=(
                    "Use a kernel with CONFIG_DEBUG_INFO_BTF (there is /sys/kernel/btf/vmlinux), or give the loader "
                    "the kernel's BTF in a file (libbpf: btf_custom_path); and load as root."
                ),
            ),
        ),
        CauseClass.ENVIRONMENT,
        "libbpf did not find it in the running kernel",
    ),
    MessageGroup(
        Category.LOADER,
        "No program can be loaded",
        (
            KernelMessage(
                rule="loading-impossible",
                wordings={"Error in bpf_object__probe_loading():{text}": "5.10-7.3"},
                reason=(
                    "libbpf tried a program of two instructions before this one, and the kernel refused that too: "
                    "what is wrong is not in the program."
                ),
                suggestion=(
                    "Load as root, or with CAP_BPF. On kernels before v5.11 raise RLIMIT_MEMLOCK in the loader "
                    "(setrlimit(), or libbpf_set_strict_mode() of libbpf 0.7 and later): maps and programs count as "
                    "locked memory. Then look for CONFIG_BPF_SYSCALL, lockdown, and seccomp filters of containers."
                ),
            ),
        ),
        CauseClass.ENVIRONMENT,
        "the kernel refused the loader's own test program",
    ),
    MessageGroup(
        Category.LOADER,
        "Function has no definition",
        (
            KernelMessage(
                rule="extern-without-btf",
                wordings={"failed to find BTF for extern '{name}': {number}": "5.10-7.3"},
                reason=(
                    "The program calls {name}(), or uses a variable of that name, and nothing in the object defines "
                    "it: it is a function of another library, or one of the kernel's that is not declared as such."
                ),
                suggestion=(
                    "Programs have no C library. For ntohl(), htons() and the like include <bpf/bpf_endian.h> and "
                    "use bpf_ntohl(), bpf_htons(); for memcpy() and memset() the __builtin_ ones with a constant "
                    "size. A function of your own must be in what is compiled (static, or linked with bpftool "
                    "gen object); one of the kernel's is declared with __ksym."
                ),
            ),
        ),
        CauseClass.SOURCE,
        "libbpf found no declaration with a type for it in the object",
    ),
    MessageGroup(
        Category.LOADER,
        "Kernel function was not found",
        (
            KernelMessage(
                rule="kfunc-not-resolved",
                wordings={
                    "kfunc '{name}' is referenced but wasn't resolved": "6.1-7.3",
                    "extern (func ksym) '{name}': not found in kernel or module BTFs": "5.13-7.3",
                    "extern (func ksym) '{name}': not found in kernel BTF": "5.13-5.19",
                },
                reason="The program calls {name}(), and this kernel has no function of that name for programs.",
                suggestion=(
                    "Use a kernel that has it (load its module, if it is in one); or declare it __ksym __weak, and "
                    "call it only where bpf_ksym_exists({name})."
                ),
            ),
            KernelMessage(
                rule="ksym-not-resolved",
                wordings={
                    "extern (var ksym) '{name}': not found in kernel BTF": "5.10-7.3",
                    "extern (ksym) '{name}': not found in kallsyms": "5.10-7.3",
                    "extern '{name}' (strong): not resolved": "5.10-7.3",
                },
                reason="The program uses the kernel's symbol {name}, and this kernel does not have it.",
                suggestion="Use a kernel that has it, or declare it __weak and test it before its use.",
            ),
        ),
        CauseClass.ENVIRONMENT,
        "libbpf did not find it in the running kernel",
    ),
    MessageGroup(
        Category.LOADER,
        "Map was not created",
        (
            KernelMessage(
                rule="map-not-created",
                wordings={
                    "BPF map '{name}' is referenced but wasn't created": "6.1-7.3",
                },
                reason="The program uses the map {name}, which the loader did not create (autocreate is off).",
                suggestion=(
                    "Let the loader create it (bpf_map__set_autocreate()), or keep the code that uses it from being "
                    "loaded."
                ),
            ),
            KernelMessage(
                rule="map-not-creatable",
                wordings={
                    "map '{name}': failed to create: {text}": "5.10-7.3",
                    "Error in bpf_create_map_xattr({name}):{text}": "5.10-5.16",
                    "Error in bpf_object__create_map({name}):{text}": "5.16-7.3",
                },
                reason="The kernel did not create the map {name}; the program was not loaded at all.",
                suggestion=(
                    "Check its type, sizes and flags against this kernel ('bpftool feature probe'), and the "
                    "limits on memory (RLIMIT_MEMLOCK on kernels before v5.11)."
                ),
            ),
        ),
        CauseClass.ENVIRONMENT,
        "the loader says so",
    ),
    MessageGroup(
        Category.LOADER,
        "Tail calls between program types",
        (
            KernelMessage(
                rule="tail-call-other-type",
                wordings={"Tail call map owned by prog type {number}, but prog type is {count}!": "5.10-7.3"},
                reason=(
                    "The array of programs that the tail call takes belongs to programs of type {number} (enum "
                    "bpf_prog_type) since the first of them was loaded, and this one is of type {count}: a tail call "
                    "leads only to programs of the same type."
                ),
                suggestion=(
                    "Load the program as the type that its section is for, or give the programs of each type an "
                    "array of their own; where the map is pinned (/sys/fs/bpf/tc), remove what another "
                    "program left there."
                ),
            ),
        ),
        CauseClass.ENVIRONMENT,
        "the loader compared the types",
    ),
    MessageGroup(
        Category.LOADER,
        "Unresolved CO-RE relocation",
        (
            KernelMessage(
                rule="core-not-resolved",
                wordings={
                    "failed to resolve CO-RE relocation {text}": "5.10-7.3",
                    "<invalid CO-RE relocation>": "5.17-7.3",
                    "relo #{number}: target candidate search failed for {text}: {count}": "5.10-7.3",
                    "relo #{number}: failed to relocate: {count}": "5.10-7.3",
                    "failed to perform CO-RE relocations: {number}": "5.10-7.3",
                },
                reason=(
                    "The program uses a type, field or value of the kernel that this kernel does not have, or that "
                    "its BTF does not name: a CO-RE relocation could not be done."
                ),
                suggestion=(
                    "Guard it with bpf_core_field_exists() or bpf_core_type_exists(), or declare the type a second "
                    "time as the other kernel has it (struct NAME___old). Types without a name cannot be relocated: "
                    "use those of vmlinux.h, not of the program's own headers."
                ),
            ),
        ),
        CauseClass.ENVIRONMENT,
        "the object asks for what this kernel's BTF does not have",
    ),
)
