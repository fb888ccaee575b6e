# SPDX-License-Identifier: GPL-2.0-or-later
"""What programs can use that has no name in linux/bpf.h: instructions, kinds of BTF, flags of programs.

Each came with a Linux kernel commit, whose subject stands beside it. What stable kernels and distributions have taken
from later releases is not in here: jumps of 32-bit offset, for one, are in 6.1.192 as well.
"""

from __future__ import annotations

from kprobe_tool.native import btf
from kprobe_tool.probes.verifier.floor.table import Since

Feature = tuple[str, Since]
"""(name, the release and commit that brought it)"""


def since(release: str, commit: str) -> Since:
    return release, commit, None


BPF_PROG_LOAD = (
    "bpf(BPF_PROG_LOAD)",
    since("3.18", "09756af46893"),
)  # bpf: expand BPF syscall with program load/unload

# Instructions.
JUMP_IF_LESS = (
    "jumps if less (-mcpu=v2)",
    since("4.14", "92b31a9af73b"),
)  # bpf: add BPF_J{LT,LE,SLT,SLE} instructions
JUMP32 = ("32-bit jumps (-mcpu=v3)", since("5.1", "092ed0968bb6"))  # bpf: verifier support JMP32
FETCH = ("atomic operations that fetch (-mcpu=v3)", since("5.12", "5ca419f2864a"))  # bpf: Add BPF_FETCH field / ...
EXCHANGE = ("atomic exchange (-mcpu=v3)", since("5.12", "5ffa25502b5a"))  # bpf: Add instructions for atomic_[cmp]xchg
BITWISE = ("atomic and, or, xor (-mcpu=v3)", since("5.12", "981f94c3e921"))  # bpf: Add bitwise atomic instructions
SIGNED_LOAD = (
    "loads that extend the sign (-mcpu=v4)",
    since("6.6", "1f9a1ea821ff"),
)  # bpf: Support new sign-extension load
SIGNED_MOVE = (
    "moves that extend the sign (-mcpu=v4)",
    since("6.6", "8100928c8814"),
)  # bpf: Support new sign-extension mov
BSWAP = ("unconditional byte swap (-mcpu=v4)", since("6.6", "0845c3db7bf5"))  # bpf: Support new unconditional bswap
SIGNED_DIVISION = ("signed division (-mcpu=v4)", since("6.6", "ec0e2da95f72"))  # bpf: Support new signed div/mod
GOTOL = ("jumps of 32-bit offset (-mcpu=v4)", since("6.6", "4cd58e9af8b9"))  # bpf: Support new 32bit offset jmp
MAY_GOTO = ("may_goto", since("6.9", "011832b97b31"))  # bpf: Introduce may_goto instruction
ADDR_SPACE_CAST = ("addr_space_cast", since("6.9", "6082b6c328b5"))  # bpf: Recognize addr_space_cast instruction ...
ACQUIRE = (
    "load-acquire, store-release (-mcpu=v4)",
    since("6.15", "880442305a39"),
)  # bpf: Introduce load-acquire and ...
GOTOX = ("indirect jumps", since("6.19", "493d9e0d6083"))  # bpf, x86: add support for indirect jumps

# What programs are made of.
FUNCTIONS = (
    "calls of functions",
    since("4.16", "cc8b0b92a169"),
)  # bpf: introduce function calls (function boundaries)
CALLBACKS = ("callbacks", since("5.13", "69c087ba6225"))  # bpf: Add bpf_for_each_map_elem() helper
KFUNCS = ("calls of kfuncs", since("5.13", "e6ac2450d6de"))  # bpf: Support bpf program calling kernel function
GLOBAL_DATA = (
    "global variables",
    since("5.2", "d8eca5bbb2be"),
)  # bpf: implement lookup-free direct value access for maps
KERNEL_VARIABLES = ("variables of the kernel", since("5.10", "4976b718c355"))  # bpf: Introduce pseudo_btf_id
LOOPS = ("loops", since("5.3", "2589726d12a1"))  # bpf: introduce bounded loops
LARGE = (
    "more than 4096 instructions",
    since("5.2", "c04c0d2b968a"),
)  # bpf: increase complexity limit and maximum ...

# Flags of programs, which the names of libbpf's sections tell.
PROGRAM_FLAGS = {
    "SEC_SLEEPABLE": ("BPF_F_SLEEPABLE", since("5.10", "1e6c62a88215")),  # bpf: Introduce sleepable BPF programs
    "SEC_XDP_FRAGS": (
        "BPF_F_XDP_HAS_FRAGS",
        since("5.18", "c2f2cdbeffda"),
    ),  # bpf: introduce BPF_F_XDP_HAS_FRAGS flag ...
}

# Kinds that are newer than Linux v4.18 libbpf replaces by older ones where the kernel does not know them.
BTF = since("4.18", "69b693f0aefa")  # bpf: btf: Introduce BPF Type Format (BTF)
BTF_KINDS = {
    **dict.fromkeys(range(btf.BTF_KIND_INT, btf.BTF_KIND_RESTRICT + 1), BTF),
    btf.BTF_KIND_FUNC: since("5.0", "2667a2626f4d"),  # bpf: btf: Add BTF_KIND_FUNC and BTF_KIND_FUNC_PROTO
    btf.BTF_KIND_FUNC_PROTO: since("5.0", "2667a2626f4d"),
    btf.BTF_KIND_VAR: since("5.2", "1dc92851849c"),  # bpf: kernel side support for BTF Var and DataSec
    btf.BTF_KIND_DATASEC: since("5.2", "1dc92851849c"),
    btf.BTF_KIND_FLOAT: since("5.13", "b1828f0b0482"),  # bpf: Add BTF_KIND_FLOAT support
    btf.BTF_KIND_DECL_TAG: since("5.16", "b5ea834dde6b"),  # bpf: Support for new btf kind BTF_KIND_TAG
    btf.BTF_KIND_TYPE_TAG: since(
        "5.17", "8c42d2fa4eea"
    ),  # bpf: Support BTF_KIND_TYPE_TAG for btf_type_tag attributes
    btf.BTF_KIND_ENUM64: since("6.0", "6089fb325cf7"),  # bpf: Add btf enum64 support
}
BTF_NAMES = {value: name for name, value in vars(btf).items() if name.startswith("BTF_KIND_")}

CHECKED_AT_LOAD = frozenset(
    {
        "cgroup_sock",
        "cgroup_sock_addr",
        "cgroup_skb",
        "cgroup_sockopt",
        "sk_lookup",
        "sk_reuseport",
        "netfilter",
        "tracing",
        "lsm",
    }
)
"""Types of program that are refused with an attach type that the kernel does not know (kernel/bpf/syscall.c,
bpf_prog_load_check_attach(); kernel/bpf/verifier.c, bpf_check_attach_target()). Others only fail to attach."""

NOT_NEEDED = frozenset({"BPF_XDP"})
"""Attach types that are never required: XDP programs have been attached through netlink since there are any."""

GPL_TYPES = frozenset({"lsm", "struct_ops"})
"""Types of program that only a licence compatible with the GPL may have (kernel/bpf/bpf_lsm.c, bpf_lsm_verify_prog();
kernel/bpf/verifier.c, check_struct_ops_btf_id())."""

GPL_COMPATIBLE = frozenset(
    {"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"}
)
"""include/linux/license.h, license_is_gpl_compatible()"""
