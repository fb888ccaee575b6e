# SPDX-License-Identifier: GPL-2.0-or-later
"""BPF program types as people name them."""

from __future__ import annotations

from kprobe_tool.errors import Error
from kprobe_tool.names import did_you_mean
from kprobe_tool.native.bpf import PROG_TYPES

PREFIX = "bpf_prog_type_"
TYPES = {name: number for number, name in enumerate(PROG_TYPES) if number}

# What else people call a type: sections of libbpf, and names of bpftool.
ALIASES = {"tc": "sched_cls", "classifier": "sched_cls", "action": "sched_act", "socket": "socket_filter"}
ALIASES |= {"fentry": "tracing", "raw_tp": "raw_tracepoint", "tp": "tracepoint", "uprobe": "kprobe"}

NUMBER_MAX = (1 << 32) - 1
"""union bpf_attr: prog_type is a __u32."""


def number_of(name: str) -> int:
    """Of ``xdp``, ``BPF_PROG_TYPE_XDP``, another name that people have for it, or a number. Raises Error."""
    short = name.lower().removeprefix(PREFIX)
    if short.isascii() and short.isdecimal() and int(short) <= NUMBER_MAX:
        return int(short)
    kernel_name = ALIASES.get(short, short)
    if kernel_name not in TYPES:
        hint = did_you_mean(short, [*TYPES, *ALIASES]) or f"there are {', '.join(TYPES)}, and numbers"
        raise Error(f"program type '{name}'", "not known", hint=hint)
    return TYPES[kernel_name]


def name_of(number: int) -> str | None:
    """The kernel's name without BPF_PROG_TYPE_, in small letters; None for a number that is new."""
    return PROG_TYPES[number] if 0 < number < len(PROG_TYPES) else None
