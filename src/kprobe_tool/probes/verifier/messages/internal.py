# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages about the verifier itself."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import Category
from kprobe_tool.probes.verifier.messages.row import KernelMessage, MessageGroup

GROUPS = (
    MessageGroup(
        Category.INTERNAL,
        "Bug in the verifier",
        (
            KernelMessage(
                rule="verifier-bug",
                wordings={
                    "verifier internal error: {text}": "5.10-7.3",
                    "verifier bug: {text}": "6.1-7.3",
                    "verifier bug. {text}": "5.10-6.12",
                    "verifier BUG {text}": "5.10-6.12",
                    "verifier internal error": "5.10-6.12",
                    "verifier bug": "6.1-6.12",
                },
                reason="The verifier found itself in a state that it should never reach.",
                suggestion=(
                    "This is a bug in the kernel; report it to bpf@vger.kernel.org with the program and this log."
                ),
            ),
            KernelMessage(
                rule="kernel-misconfigured",
                wordings={
                    "insn state internal bug": "5.10-7.3",
                    "pop stack internal bug": "5.10-7.3",
                    "visit_insn internal bug": "6.1-7.3",
                    "bpf verifier is misconfigured": "5.10-6.12",
                    "kernel subsystem misconfigured verifier": "5.10-6.12",
                    "kernel subsystem misconfigured func {func}#{number}": "5.10-6.12",
                    "kernel subsystem misconfigured func {func}#{number}: r1 != ctx": "5.10-6.12",
                    "bpf verifier narrow ctx access misconfigured": "5.10-6.12",
                    "bpf verifier narrow ctx load misconfigured": "5.10-6.12",
                    "BUG regs {hex}": "5.10-6.12",
                    "BUG backtracking idx {number}": "5.10-6.12",
                    "BUG spi {number}": "5.10-6.1",
                },
                reason="What the verifier recorded itself, or got from another part of the kernel, is inconsistent.",
                suggestion=(
                    "This is a bug in the kernel; report it to bpf@vger.kernel.org with the program and this log."
                ),
            ),
        ),
    ),
)
