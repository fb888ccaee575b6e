# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages about what a register holds."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import Category
from kprobe_tool.probes.verifier.messages.row import Follow, KernelMessage, MessageGroup

GROUPS = (
    MessageGroup(
        Category.REGISTER,
        "Unreadable register",
        (
            KernelMessage(
                rule="unreadable-register",
                wordings={"{arg} !read_ok": "5.10-7.3"},
                reason=(
                    "{arg} holds nothing that may be read here: on this path it was never written, or a call since "
                    "then has taken its value away (R1 to R5 are lost in every call)."
                ),
                suggestion=(
                    "Set {arg} on every path before this instruction; keep what must survive a call in R6 to R9 or "
                    "on the stack."
                ),
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "Missing stack argument",
        (
            KernelMessage(
                rule="missing-stack-argument",
                wordings={"callee expects {count} args, stack arg{number} is not initialized": "7.2-7.3"},
                reason=(
                    "The function takes {count} arguments, those after the fifth on the stack, and argument "
                    "{number} of the stack was not written before this call."
                ),
                suggestion="Store all stack arguments after the last call before this one.",
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "Invalid dereference",
        (
            KernelMessage(
                rule="null-dereference",
                wordings={"{arg} invalid mem access '{nullable}'": "5.10-7.3"},
                reason="{arg} may be NULL here ({nullable}), and the access would then fault.",
                suggestion="Compare the pointer with NULL first and access it only where it is not NULL.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="scalar-dereference",
                wordings={"{arg} invalid mem access 'scalar'": "6.1-7.3", "{arg} invalid mem access 'inv'": "5.10"},
                reason="{arg} is a number here and no pointer, so nothing may be read or written through it.",
                suggestion=(
                    "Keep the pointer in a register of its own, and read it again after what makes a number of it: "
                    "a release, a helper that moves packet data, or arithmetic the verifier cannot follow."
                ),
                follow=Follow.REGISTER,
                lost_pointer=True,
            ),
            KernelMessage(
                rule="invalid-dereference",
                wordings={"{arg} invalid mem access '{type}'": "5.10-7.3"},
                reason="{arg} is of type {type}, through which a program may not read or write like this.",
                suggestion=(
                    "Access the memory through a pointer of the right type, or with the helper made for this type."
                ),
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="modified-pointer",
                wordings={"dereference of modified {type} ptr {arg} off={off} disallowed": "6.1-7.3"},
                reason="{arg} was moved by {off} bytes, and a {type} pointer must be used as it was handed out.",
                suggestion="Keep the original pointer, and put constant offsets into the access itself.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "32-bit pointer arithmetic",
        (
            KernelMessage(
                rule="pointer-arithmetic-32-bit",
                wordings={"{arg} 32-bit pointer arithmetic prohibited": "5.10-7.3"},
                reason=(
                    "The instruction works on the lower half of {arg}, which is a pointer: the result would be no "
                    "address."
                ),
                suggestion="Use 64-bit arithmetic for pointers; in C, no cast of a pointer to a 32-bit type.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "Pointer arithmetic before NULL check",
        (
            KernelMessage(
                rule="pointer-arithmetic-before-null-check",
                wordings={"{arg} pointer arithmetic on {type} prohibited, null-check it first": "5.10-7.3"},
                reason="{arg} may be NULL ({type}); moving it would make a NULL look like a valid address.",
                suggestion="Compare the pointer with NULL before any arithmetic with it.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "Pointer arithmetic is not allowed",
        (
            KernelMessage(
                rule="pointer-arithmetic",
                wordings={"{arg} pointer arithmetic on {type} prohibited": "5.10-7.3"},
                reason="A pointer of type {type} may not be moved.",
                suggestion=(
                    "Use {arg} as it is; offsets within what it points to are reached by accesses or helpers made "
                    "for this type."
                ),
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "Pointer offset is not safe",
        (
            KernelMessage(
                rule="pointer-offset-constant",
                wordings={"math between {type} pointer and {off} is not allowed": "5.10-7.3"},
                reason="Moving a {type} pointer by {off} could leave what the verifier can follow.",
                suggestion="Use smaller offsets, below 2^29.",
                follow=Follow.SOURCE,
            ),
            KernelMessage(
                rule="pointer-offset-unbounded",
                wordings={
                    "math between {type} pointer and register with unbounded min value is not allowed": "5.10-7.3"
                },
                reason=(
                    "The number that is added to the {type} pointer has no known lower bound, so it might be "
                    "negative."
                ),
                suggestion=(
                    "Bound it first: mask it (x &= MAX), make it unsigned and compare it with a limit, or use a "
                    "32-bit type whose upper half is zero."
                ),
                follow=Follow.SOURCE,
                lost_bound=True,
            ),
            KernelMessage(
                rule="pointer-offset-range",
                wordings={"value {off} makes {type} pointer be out of bounds": "5.10-7.3"},
                reason=(
                    "The number that is added can be as low as {off}, which would take the {type} pointer out of "
                    "all bounds."
                ),
                suggestion="Give the number a lower bound of 0, by an unsigned type or a comparison.",
                follow=Follow.SOURCE,
                lost_bound=True,
            ),
            KernelMessage(
                rule="pointer-offset-result",
                wordings={"{type} pointer offset {off} is not allowed": "5.10-7.3"},
                reason=(
                    "After this instruction the {type} pointer would stand {off} bytes from where it points to, "
                    "more than the verifier follows."
                ),
                suggestion="Keep offsets below 2^29.",
                follow=Follow.REGISTER_OF_INSN,
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "Pointer subtracted from scalar",
        (
            KernelMessage(
                rule="pointer-from-scalar",
                wordings={"{arg} tried to subtract pointer from scalar": "5.10-7.3"},
                reason="A number minus a pointer is neither a number nor a pointer that a program could use.",
                suggestion="Subtract pointers from pointers, or keep the two apart.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "Subtraction from stack pointer",
        (
            KernelMessage(
                rule="stack-pointer-subtraction",
                wordings={"{arg} subtraction from stack pointer prohibited": "5.10-7.3"},
                reason=(
                    "{arg} points to the stack, and a register is subtracted from it, which the verifier does not "
                    "follow."
                ),
                suggestion="Add a negative number to it instead.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "Bitwise operation on pointer",
        (
            KernelMessage(
                rule="pointer-bitwise",
                wordings={"{arg} bitwise operator {operator} on pointer prohibited": "5.10-7.3"},
                reason="{arg} is a pointer, and {operator} makes no pointer of it that the verifier could follow.",
                suggestion="Do the alignment or masking on an offset, before it is added to the pointer.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "Invalid pointer arithmetic operator",
        (
            KernelMessage(
                rule="pointer-operator",
                wordings={"{arg} pointer arithmetic with {operator} operator prohibited": "5.10-7.3"},
                reason="{arg} is a pointer; only adding and subtracting leaves a pointer, {operator} does not.",
                suggestion="Compute the offset in a register of its own and add it.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "Arithmetic between pointers",
        (
            KernelMessage(
                rule="pointer-and-pointer",
                wordings={"{arg} pointer {operator} pointer prohibited": "5.10-7.3"},
                reason=(
                    "Both operands are pointers, and {operator} does not make a pointer of two. Only their "
                    "difference is allowed, and only to loaders with CAP_PERFMON."
                ),
                suggestion="Add an offset, which is a number, to one of the two.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "Frame pointer is read only",
        (
            KernelMessage(
                rule="frame-pointer-written",
                wordings={"frame pointer is read only": "5.10-7.3"},
                reason="R10 is the frame pointer, and nothing may be written to it.",
                suggestion="Copy it to another register and change the copy.",
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "Stack pointer is returned",
        (
            KernelMessage(
                rule="stack-pointer-returned",
                wordings={"cannot return stack pointer to the caller": "5.10-7.3"},
                reason="The function returns a pointer to its own stack, which is gone when it has returned.",
                suggestion="Let the caller pass a pointer to a buffer of its own.",
                follow=Follow.R0,
            ),
        ),
    ),
    MessageGroup(
        Category.REGISTER,
        "Return value is not a number",
        (
            KernelMessage(
                rule="return-not-scalar",
                wordings={"At subprogram exit the register {arg} is not a scalar value ({type})": "6.12"},
                reason=(
                    "The function returns {arg}, which is of type {type}; a global function may return numbers only."
                ),
                suggestion="Return a number, or make the function static.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="callback-result",
                wordings={"R0 not a scalar value": "6.1-7.3"},
                reason="A callback must return a number, and R0 is none here.",
                suggestion="Return 0 or 1.",
                follow=Follow.R0,
            ),
        ),
    ),
)
