# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages about limits of the verifier."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import Category, CauseClass
from kprobe_tool.probes.verifier.messages.row import KernelMessage, MessageGroup

GROUPS = (
    MessageGroup(
        Category.LIMIT,
        "Too many instructions",
        (
            KernelMessage(
                rule="too-many-instructions",
                wordings={"BPF program is too large. Processed {count} insn": "5.10-7.3"},
                reason=(
                    "The verifier walked {count} instructions over all paths and gave up; the program itself may be "
                    "much shorter."
                ),
                suggestion=(
                    "Have fewer paths: bound loops lower, use bpf_loop() or an open-coded iterator, and move code "
                    "into global functions, which are checked once."
                ),
            ),
        ),
        CauseClass.VERIFIER_LIMIT,
        "the message is about a limit of the verifier",
    ),
    MessageGroup(
        Category.LIMIT,
        "Too many pending branches",
        (
            KernelMessage(
                rule="too-many-branches",
                wordings={
                    "The sequence of {count} jumps is too complex.": "5.10-7.3",
                    "The sequence of {count} jumps is too complex for async cb.": "6.1-7.3",
                },
                reason="{count} branches were waiting to be checked at one time, the most that the verifier keeps.",
                suggestion="Split the program, or replace chains of conditions by a table or bpf_loop().",
            ),
        ),
        CauseClass.VERIFIER_LIMIT,
        "the message is about a limit of the verifier",
    ),
    MessageGroup(
        Category.LIMIT,
        "Infinite loop",
        (
            KernelMessage(
                rule="infinite-loop",
                wordings={"infinite loop detected at insn {at}": "5.10-7.3"},
                reason=(
                    "The verifier came to instruction {at} again with nothing changed since, so the loop may never "
                    "end."
                ),
                suggestion=(
                    "Let a counter with a constant limit decide about the loop, or use bpf_loop(), bpf_for() or "
                    "may_goto."
                ),
            ),
        ),
        CauseClass.SOURCE,
        "the same state came again",
    ),
    MessageGroup(
        Category.LIMIT,
        "Call stack too deep",
        (
            KernelMessage(
                rule="call-depth",
                wordings={
                    "the call stack of {count} frames is too deep": "5.10-7.3",
                    "the call stack of {count} frames is too deep !": "5.10-7.3",
                },
                reason="{count} functions would be active at one time, and 8 may be.",
                suggestion="Inline some of them; recursion is not allowed at all.",
            ),
        ),
        CauseClass.VERIFIER_LIMIT,
        "the message is about a limit of the verifier",
    ),
    MessageGroup(
        Category.LIMIT,
        "Stack depth",
        (
            KernelMessage(
                rule="stack-depth",
                wordings={"combined stack size of {count} calls is {size}. Too large": "5.10-7.3"},
                reason="The {count} functions on this path need {size} bytes of stack together, and there are 512.",
                suggestion=(
                    "Move large variables into a map (a per-CPU array), or inline functions so that the compiler "
                    "can share slots."
                ),
            ),
            KernelMessage(
                rule="stack-depth-function",
                wordings={
                    "stack size of subprog {number} is {size}. Too large": "6.12-7.3",
                    "stack size {size}(extra {number}) is too large": "6.12-7.3",
                },
                reason="One function needs {size} bytes of stack, more than there are.",
                suggestion="Move large variables into a map (a per-CPU array).",
            ),
            KernelMessage(
                rule="stack-depth-tail-call",
                wordings={
                    (
                        "tail_calls are not allowed when call stack of previous frames is {size} bytes. Too large"
                    ): "5.10-7.3"
                },
                reason=(
                    "The callers of this function use {size} bytes of stack, too much for a tail call below them."
                ),
                suggestion="Use less stack above, or make the tail call in the main program.",
            ),
        ),
        CauseClass.VERIFIER_LIMIT,
        "the message is about the 512 bytes of stack",
    ),
    MessageGroup(
        Category.LIMIT,
        "Too many functions",
        (
            KernelMessage(
                rule="too-many-functions",
                wordings={
                    "too many subprograms": "5.10-7.3",
                    "too many different kernel function calls": "6.1-7.3",
                    "too many different module BTFs": "6.1-7.3",
                },
                reason=(
                    "The program has more functions, or calls more kernel functions, than the kernel keeps track of "
                    "(256)."
                ),
                suggestion="Split the program.",
            ),
        ),
        CauseClass.VERIFIER_LIMIT,
        "the message is about a limit of the verifier",
    ),
    MessageGroup(
        Category.LIMIT,
        "Too many maps",
        (
            KernelMessage(
                rule="too-many-maps",
                wordings={
                    "The total number of maps per program has reached the limit of {limit}": "6.12-7.3",
                    "The total number of btfs per program has reached the limit of {limit}": "7.2-7.3",
                },
                reason="A program may use {limit} maps, and as many BTF objects, at most.",
                suggestion="Use fewer maps, or a map of maps.",
            ),
        ),
        CauseClass.VERIFIER_LIMIT,
        "the message is about a limit of the verifier",
    ),
    MessageGroup(
        Category.LIMIT,
        "Jump is too far",
        (
            KernelMessage(
                rule="jump-distance",
                wordings={"insn {at} cannot be patched due to 16-bit range": "5.10-7.3"},
                reason=(
                    "The kernel replaces some instructions by several, and then a jump over them does not fit into "
                    "16 bits."
                ),
                suggestion="Split the function.",
            ),
        ),
        CauseClass.VERIFIER_LIMIT,
        "the message is about a limit of the verifier",
    ),
    MessageGroup(
        Category.LIMIT,
        "Program is too complex",
        (
            KernelMessage(
                rule="analysis-limit",
                wordings={
                    "liveness analysis exceeded complexity limit ({count} calls)": "7.2-7.3",
                    "{func}: too many iterations": "7.2-7.3",
                },
                reason="An analysis within the verifier gave up because of the number of calls or loops.",
                suggestion="Have fewer calls in the program.",
            ),
        ),
        CauseClass.VERIFIER_LIMIT,
        "the message is about a limit of the verifier",
    ),
)
