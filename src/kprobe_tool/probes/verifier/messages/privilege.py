# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages that only loaders without privilege see."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import Category, CauseClass
from kprobe_tool.probes.verifier.messages.row import Follow, KernelMessage, MessageGroup

GROUPS = (
    MessageGroup(
        Category.PRIVILEGE,
        "Pointer leak",
        (
            KernelMessage(
                rule="pointer-leak",
                wordings={
                    "{arg} leaks addr as return value": "6.12-7.3",
                    "{arg} leaks addr into map": "5.10-7.3",
                    "{arg} leaks addr into mem": "5.10-7.3",
                    "{arg} leaks addr into ctx": "5.10-7.3",
                    "{arg} leaks addr into packet": "5.10-7.3",
                    "{arg} leaks addr into flow keys": "5.10-7.3",
                    "{arg} leaks addr into helper function": "5.10-7.3",
                },
                reason=(
                    "{arg} is a pointer, and its address would become visible outside of the program, which this "
                    "loader may not cause."
                ),
                suggestion="Load with CAP_PERFMON, or store a number instead.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="pointer-leak-stack",
                wordings={"leaking pointer from stack off {off}": "5.10-7.3"},
                reason=(
                    "A part of a pointer saved on the stack is read, which would show its address to a loader "
                    "without CAP_PERFMON."
                ),
                suggestion="Read the whole 8 bytes, or load with CAP_PERFMON.",
            ),
            KernelMessage(
                rule="pointer-compared",
                wordings={"{arg} pointer comparison prohibited": "5.10-7.3"},
                reason=(
                    "Comparing {arg}, a pointer, with something else than NULL tells about its address, which this "
                    "loader may not learn."
                ),
                suggestion="Load with CAP_PERFMON, or do without the comparison.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="pointer-part",
                wordings={
                    "{arg} partial copy of pointer": "5.10-7.3",
                    "{arg} sign-extension part of pointer": "6.12-7.3",
                },
                reason="Half of the pointer in {arg} would be copied, which makes a number of an address.",
                suggestion="Copy pointers with 64-bit moves, or load with CAP_PERFMON.",
                follow=Follow.REGISTER,
            ),
        ),
        CauseClass.ENVIRONMENT,
        "the message comes without CAP_PERFMON only",
    ),
    MessageGroup(
        Category.PRIVILEGE,
        "Pointer arithmetic",
        (
            KernelMessage(
                rule="pointer-arithmetic-privilege",
                wordings={"{arg} pointer arithmetic prohibited": "5.10-7.3"},
                reason="{arg} is a pointer, and this operation on it is not for loaders without CAP_PERFMON.",
                suggestion="Load with CAP_PERFMON, or use numbers.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="stack-variable-privilege",
                wordings={
                    "{arg} variable offset stack access prohibited for !root, var_off={tnum}": "5.10-7.3",
                    "{arg}{access2} variable offset stack access prohibited for !root, var_off={tnum}": "5.10-7.3",
                    "{arg} variable stack access prohibited for !root, var_off={tnum} off={off}": "5.10-7.3",
                },
                reason=(
                    "{arg} points to the stack at an offset that is not known when the program is loaded, which "
                    "needs CAP_PERFMON."
                ),
                suggestion="Use constant offsets, or load with CAP_BPF and CAP_PERFMON.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="range-privilege",
                wordings={
                    "{arg} stack pointer arithmetic goes out of range, prohibited for !root; off={off}": "5.10-7.3",
                    "{arg} pointer arithmetic of map value goes out of range, prohibited for !root": "5.10-7.3",
                    (
                        "uninit stack in range of var-offset write prohibited for !root; insn {at}, off: {off}"
                    ): "5.10-7.3",
                },
                reason=(
                    "The pointer could leave its object here, if only until it is checked, which needs CAP_PERFMON."
                ),
                suggestion="Check the number before it is added, or load with CAP_BPF and CAP_PERFMON.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="speculation",
                wordings={
                    "{arg} has unknown scalar with mixed signed bounds, {text}": "5.10-7.3",
                    "{arg} has pointer with unsupported alu operation, {text}": "5.10-7.3",
                    "{arg} tried to {operation} from different maps, paths or scalars, {text}": "5.10-7.3",
                    "{arg} tried to {operation} beyond pointer bounds, {text}": "5.10-7.3",
                    "{arg} could not be pushed for speculative verification, {text}": "5.10-7.3",
                },
                reason=(
                    "The kernel guards loaders without CAP_PERFMON against misuse of speculative execution, and "
                    "cannot do it for this arithmetic on {arg}."
                ),
                suggestion=(
                    "Bound the number to be not negative and below the object's size before it is added, or load "
                    "with CAP_PERFMON."
                ),
                follow=Follow.REGISTER,
            ),
        ),
        CauseClass.ENVIRONMENT,
        "the message comes without CAP_PERFMON only",
    ),
)
