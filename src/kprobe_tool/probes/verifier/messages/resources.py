# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages about what is acquired and released."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import Category, CauseClass
from kprobe_tool.probes.verifier.messages.row import Follow, KernelMessage, MessageGroup

GROUPS = (
    MessageGroup(
        Category.RESOURCE,
        "Unreleased resource",
        (
            KernelMessage(
                rule="unreleased-reference",
                wordings={"Unreleased reference id={id} alloc_insn={insn}": "5.10-7.3"},
                reason=(
                    "What instruction {insn} acquired (reference {id}) is still held here, and this path ends "
                    "without giving it back."
                ),
                suggestion="Release it on every path, also on those that leave early, or hand it over.",
                follow=Follow.REFERENCE,
            ),
            KernelMessage(
                rule="leaking-reference",
                wordings={"Leaking reference id={id} alloc_insn={insn}. Release it first.": "7.2-7.3"},
                reason=(
                    "What instruction {insn} acquired (reference {id}) would be lost here: its last pointer is "
                    "overwritten or given up."
                ),
                suggestion="Release it before this instruction.",
                follow=Follow.REFERENCE,
            ),
            KernelMessage(
                rule="reference-leak",
                wordings={
                    "{what} would lead to reference leak": "7.2-7.3",
                    "BPF_LD_[ABS|IND] cannot be mixed with socket references": "5.10-6.12",
                },
                reason="A reference is still held here, and this path could end without giving it back.",
                suggestion="Release all references before this instruction.",
                detail=True,
            ),
            KernelMessage(
                rule="reference-in-callback",
                wordings={"can't spin_{{lock,unlock}} in rbtree cb": "6.12-7.3"},
                reason="The callback of bpf_rbtree_add() runs under the lock and may neither take nor release one.",
                suggestion="Leave locking to the caller.",
            ),
        ),
        CauseClass.SOURCE,
        "what was acquired is held at the end of the path",
    ),
    MessageGroup(
        Category.RESOURCE,
        "Referenced dynptr overwrite",
        (
            KernelMessage(
                rule="dynptr-overwrite",
                wordings={"cannot overwrite referenced dynptr": "6.12-7.3"},
                reason="The write would destroy a dynptr on the stack that still holds a reference.",
                suggestion="Submit or discard it first, or write elsewhere.",
            ),
        ),
    ),
    MessageGroup(
        Category.RESOURCE,
        "Dynptr is already initialized",
        (
            KernelMessage(
                rule="dynptr-initialized",
                wordings={"Dynptr has to be an uninitialized dynptr": "6.1-7.3"},
                reason="The call makes a dynptr, and the variable already is one.",
                suggestion="Use another variable, or give the first dynptr back before the call.",
            ),
        ),
    ),
    MessageGroup(
        Category.RESOURCE,
        "Const dynptr release",
        (
            KernelMessage(
                rule="dynptr-const-release",
                wordings={
                    "CONST_PTR_TO_DYNPTR cannot be released": "7.2-7.3",
                    "cannot release unowned const bpf_dynptr": "6.12",
                },
                reason="This dynptr was lent to a callback, which may not release it.",
                suggestion="Release it where it was made.",
            ),
        ),
    ),
    MessageGroup(
        Category.RESOURCE,
        "Uninitialized dynptr use",
        (
            KernelMessage(
                rule="dynptr-uninitialized",
                wordings={
                    "Expected an initialized dynptr as {arg}": "6.1-7.3",
                    "{arg} pointer type {name} {type} must be valid and initialized": "6.1",
                    "arg {number} is an unacquired reference": "6.1-6.12",
                },
                reason=(
                    "The argument must be a dynptr that was made before, and on this path it was not, or it was "
                    "given back."
                ),
                suggestion="Make it first, and do not use it after submit, discard or a change of the packet.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.RESOURCE,
        "Iterator is already initialized",
        (
            KernelMessage(
                rule="iterator-initialized",
                wordings={"expected uninitialized iter_{name} as {arg}": "6.12-7.3"},
                reason="The call makes an iterator, and the variable already holds one or other data.",
                suggestion="Destroy the first iterator before the call, or use another variable.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.RESOURCE,
        "Uninitialized iterator use",
        (
            KernelMessage(
                rule="iterator-uninitialized",
                wordings={"expected an initialized iter_{name} as {arg}": "6.12-7.3"},
                reason=(
                    "The call needs an iterator of kind {name} that bpf_iter_{name}_new() has made, and on this "
                    "path it was not, or it was destroyed."
                ),
                suggestion="Call the _new function first and _destroy last, on every path.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.RESOURCE,
        "IRQ flag is already initialized",
        (
            KernelMessage(
                rule="irq-flag-initialized",
                wordings={"expected uninitialized irq flag as {arg}": "7.2-7.3"},
                reason="The variable for the saved IRQ flags already holds some.",
                suggestion="Use a variable of its own for each pair of save and restore.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.RESOURCE,
        "Uninitialized IRQ flag restore",
        (
            KernelMessage(
                rule="irq-flag-uninitialized",
                wordings={"expected an initialized irq flag as {arg}": "7.2-7.3"},
                reason="IRQ flags are restored that were not saved on this path.",
                suggestion="Save them first, with the matching function.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.RESOURCE,
        "IRQ flag restore mismatch",
        (
            KernelMessage(
                rule="irq-flag-kind",
                wordings={"irq flag acquired by {what} kfuncs cannot be restored with {what2} kfuncs": "7.2-7.3"},
                reason="The flags were saved by a {what} function and are restored by a {what2} function.",
                suggestion="Pair each save with the restore of the same family.",
                follow=Follow.IRQ,
            ),
        ),
    ),
    MessageGroup(
        Category.RESOURCE,
        "IRQ flag restore out of order",
        (
            KernelMessage(
                rule="irq-flag-order",
                wordings={
                    "cannot restore irq state out of order, expected id={id} acquired at insn_idx={insn}": "7.2-7.3"
                },
                reason="The flags saved last (at instruction {insn}) must be restored first.",
                suggestion="Restore in the reverse order.",
                follow=Follow.IRQ,
            ),
        ),
    ),
    MessageGroup(
        Category.RESOURCE,
        "Nested spin lock",
        (
            KernelMessage(
                rule="lock-nested",
                wordings={"Locking two bpf_spin_locks are not allowed": "5.10-7.3"},
                reason="A bpf_spin_lock is already held here, and a program may hold one at a time.",
                suggestion="Unlock the first lock before taking the second.",
                follow=Follow.LOCK,
            ),
        ),
        CauseClass.SOURCE,
        "the message is about the order of locking",
    ),
    MessageGroup(
        Category.RESOURCE,
        "Recursive resource spin lock",
        (
            KernelMessage(
                rule="lock-recursive",
                wordings={"Acquiring the same lock again, AA deadlock detected": "7.2-7.3"},
                reason="This lock is already held on this path, so taking it again would wait forever.",
                suggestion="Unlock it before taking it again, or do not take it twice.",
                follow=Follow.LOCK,
            ),
        ),
    ),
    MessageGroup(
        Category.RESOURCE,
        "Unlock without lock",
        (
            KernelMessage(
                rule="unlock-without-lock",
                wordings={"{func}_unlock without taking a lock": "7.2-7.3"},
                reason="{func}_unlock() is called, and no lock of this kind is held on this path.",
                suggestion="Take the lock on every path that comes here.",
                follow=Follow.LOCK,
            ),
        ),
        CauseClass.SOURCE,
        "the message is about the order of locking",
    ),
    MessageGroup(
        Category.RESOURCE,
        "Unlock of a different lock",
        (
            KernelMessage(
                rule="unlock-different",
                wordings={"{func}_unlock of different lock": "7.2-7.3"},
                reason=(
                    "The lock that is released is not the one that is held. The verifier takes the results of two "
                    "lookups for two locks, even if the key is the same."
                ),
                suggestion="Unlock through the very pointer that was locked.",
                follow=Follow.LOCK,
            ),
        ),
    ),
    MessageGroup(
        Category.RESOURCE,
        "Unlock out of order",
        (
            KernelMessage(
                rule="unlock-order",
                wordings={"{func}_unlock cannot be out of order": "7.2-7.3"},
                reason="Another lock was taken after this one and is still held.",
                suggestion="Release locks in the reverse order.",
                follow=Follow.LOCK,
            ),
        ),
    ),
    MessageGroup(
        Category.RESOURCE,
        "Release of what is not held",
        (
            KernelMessage(
                rule="release-not-acquired",
                wordings={
                    "func {func}#{number} reference has not been acquired before": "5.10-6.12",
                    "kfunc {func}#{number} reference has not been acquired before": "6.1-6.12",
                },
                reason=(
                    "{func} gives back a reference, and the one it gets is not held on this path, or was given back "
                    "already."
                ),
                suggestion="Release what was acquired, once.",
            ),
        ),
    ),
    MessageGroup(
        Category.CONTEXT,
        "Lock is not held",
        (
            KernelMessage(
                rule="lock-not-held",
                wordings={"bpf_spin_lock at off={off} must be held for {name}": "6.12-7.3"},
                reason="{name} may be changed only while the bpf_spin_lock beside it is held.",
                suggestion="Take the lock first.",
                follow=Follow.LOCK,
            ),
            KernelMessage(
                rule="lock-elsewhere",
                wordings={"held lock and object are not in the same allocation": "6.12-7.3"},
                reason="The lock that is held belongs to another object.",
                suggestion="Take the lock that lies in the same value or object.",
                follow=Follow.LOCK,
            ),
        ),
        CauseClass.SOURCE,
        "the message is about the order of locking",
    ),
)
