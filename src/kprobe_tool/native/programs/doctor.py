# SPDX-License-Identifier: GPL-2.0-or-later
"""bpf/doctor.c: the least that shows whether programs compile, load and attach here."""

from __future__ import annotations

from collections.abc import Sequence

from kprobe_tool.native.bpf_insn import BPF_ALU64, BPF_EXIT, BPF_JMP, BPF_MOV, bpf_insn

FUNCTION = "on_message"
SOCKMAP = "sockets"
AT_SYSCALL = "at_syscall"
AT_FUNCTION = "at_function"

RETURN_0 = bytes(bpf_insn(code=BPF_ALU64 | BPF_MOV)) + bytes(bpf_insn(code=BPF_JMP | BPF_EXIT))
"""r0 = 0; exit: a program that may be loaded as any type."""


def fentry_function(functions: Sequence[str]) -> str:
    """What bcc makes of KFUNC_PROBE, which differs between its releases."""
    return next(name for name in functions if name.startswith("kfunc__"))
