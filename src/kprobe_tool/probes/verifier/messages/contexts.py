# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages about operations that are not allowed where they stand: under a lock, in an RCU section, in a callback."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import Category
from kprobe_tool.probes.verifier.messages.row import Follow, KernelMessage, MessageGroup

GROUPS = (
    MessageGroup(
        Category.CONTEXT,
        "Operation is not allowed in this context",
        (
            KernelMessage(
                rule="call-under-lock",
                wordings={"function calls are not allowed while holding a lock": "5.10-7.3"},
                reason=(
                    "A bpf_spin_lock is held here, and nothing but a few helpers may be called before it is released."
                ),
                suggestion="Unlock before the call.",
                follow=Follow.LOCK,
            ),
            KernelMessage(
                rule="global-call-under-lock",
                wordings={"global function calls are not allowed while holding a lock,": "6.12-7.3"},
                reason="A lock is held here, and global functions are verified without knowing that.",
                suggestion="Make the function static, or unlock before the call.",
                follow=Follow.LOCK,
            ),
            KernelMessage(
                rule="global-call-without-preemption",
                wordings={"global function calls are not allowed with preemption disabled,": "6.12"},
                reason="Preemption is off here, and global functions are verified without knowing that.",
                suggestion="Make the function static, or enable preemption before the call.",
                follow=Follow.PREEMPT,
            ),
            KernelMessage(
                rule="global-call-hint",
                wordings={"use static function instead": "6.12-7.3"},
                reason="A global function is called where only static ones may be.",
                suggestion="Make the function static.",
                detail=True,
            ),
            KernelMessage(
                rule="sleepable-global",
                wordings={"sleepable global function {func}() called in {what}": "7.2-7.3"},
                reason="{func}() may sleep, and this is a {what}, where nothing may sleep.",
                suggestion="Call it outside of that, or make it a function that does not sleep.",
                follow=Follow.CONTEXT,
            ),
            KernelMessage(
                rule="left-locked",
                wordings={
                    "{what} cannot be used inside bpf_spin_lock-ed region": "7.2-7.3",
                    "bpf_spin_unlock is missing": "5.10-6.1",
                },
                reason="A bpf_spin_lock is still held on this path where the program ends or may end.",
                suggestion="Unlock before that, on every path.",
                follow=Follow.LOCK,
            ),
            KernelMessage(
                rule="left-irq",
                wordings={"{what} cannot be used inside bpf_local_irq_save-ed region": "7.2-7.3"},
                reason="Interrupts are still off on this path where the program ends or may end.",
                suggestion="Restore the flags before that, on every path.",
                follow=Follow.IRQ,
            ),
            KernelMessage(
                rule="left-rcu",
                wordings={
                    "{what} cannot be used inside bpf_rcu_read_lock-ed region": "7.2-7.3",
                    "bpf_rcu_read_unlock is missing": "6.12",
                },
                reason="An RCU read section is still open on this path where the program ends or may end.",
                suggestion="Call bpf_rcu_read_unlock() before that, on every path.",
                follow=Follow.RCU,
            ),
            KernelMessage(
                rule="left-preempt",
                wordings={
                    "{what} cannot be used inside bpf_preempt_disable-ed region": "7.2-7.3",
                    "{number} bpf_preempt_enable{plural} missing": "6.12",
                },
                reason="Preemption is still off on this path where the program ends or may end.",
                suggestion="Call bpf_preempt_enable() as often as bpf_preempt_disable(), on every path.",
                follow=Follow.PREEMPT,
            ),
            KernelMessage(
                rule="sleepable-global-old",
                wordings={"global functions that may sleep are not allowed in non-sleepable context,": "6.18"},
                reason=(
                    "The global function may sleep, and nothing may sleep here: within an RCU, IRQ-disabled or "
                    "preemption-disabled region, or in a program that was not loaded as sleepable."
                ),
                suggestion="Call it outside of the region, or make it a function that does not sleep.",
            ),
            KernelMessage(
                rule="sleepable-helper",
                wordings={"sleepable helper {func}#{number} in {what}": "7.2-7.3"},
                reason="{func}() may sleep, and this is a {what}, where nothing may sleep.",
                suggestion=(
                    "Call it outside of the region, or load the program as sleepable where its type allows it."
                ),
                follow=Follow.CONTEXT,
            ),
            KernelMessage(
                rule="sleepable-helper-old",
                wordings={"helper call might sleep in a non-sleepable prog": "6.1-6.12"},
                reason="The helper may sleep, and the program was not loaded as sleepable.",
                suggestion="Load it as sleepable (the section name ends in .s), where its type allows it.",
            ),
            KernelMessage(
                rule="sleepable-kfunc-program",
                wordings={
                    "program must be sleepable to call sleepable kfunc {func}": "6.12-7.3",
                    "kernel function {func} is sleepable but the program is not": "6.1",
                },
                reason="{func}() may sleep, and the program was not loaded as sleepable.",
                suggestion="Load it as sleepable (the section name ends in .s), where its type allows it.",
            ),
            KernelMessage(
                rule="sleepable-kfunc",
                wordings={"kernel func {func} is sleepable within {what}": "7.2-7.3"},
                reason="{func}() may sleep, and this is a {what}, where nothing may sleep.",
                suggestion="Call it outside of the region.",
                follow=Follow.CONTEXT,
            ),
            KernelMessage(
                rule="nested-rcu",
                wordings={"nested rcu read lock (kernel function {func})": "6.12"},
                reason="An RCU read section is open already, and this kernel does not nest them.",
                suggestion="Leave out the inner one.",
                follow=Follow.RCU,
            ),
            KernelMessage(
                rule="callback-place",
                wordings={
                    "cannot use BPF_LD_[ABS|IND] within callback": "6.12-7.3",
                    "cannot tail call within callback": "7.2-7.3",
                    "cannot tail call within exception cb": "6.12-7.2",
                    "rbtree_remove not allowed in rbtree cb": "6.12-7.3",
                    "{func} not allowed in rbtree cb": "7.2-7.3",
                    "can't res_spin_{{lock,unlock}} in rbtree cb": "7.2-7.3",
                    "Calling bpf_rcu_read_{{lock,unlock}} in unnecessary rbtree callback": "6.12-7.3",
                },
                reason="Within a callback this operation is not allowed.",
                suggestion="Do it outside of the callback.",
            ),
            KernelMessage(
                rule="sockmap-context",
                wordings={"cannot update sockmap in this context": "5.10-7.3"},
                reason="A sockmap may not be changed by programs of this type.",
                suggestion="Change it from a program type that may (sock_ops, for example), or from user space.",
            ),
        ),
    ),
    MessageGroup(
        Category.CONTEXT,
        "Unmatched context exit",
        (
            KernelMessage(
                rule="unmatched-rcu",
                wordings={"unmatched rcu read unlock (kernel function {func})": "6.12-7.3"},
                reason="{func}() ends an RCU read section, and none is open on this path.",
                suggestion="Open one on every path that comes here.",
                follow=Follow.RCU,
            ),
            KernelMessage(
                rule="unmatched-preempt",
                wordings={"unmatched attempt to enable preemption (kernel function {func})": "6.12-7.3"},
                reason="{func}() enables preemption, and it is not off on this path.",
                suggestion="Call bpf_preempt_disable() on every path that comes here.",
                follow=Follow.PREEMPT,
            ),
        ),
    ),
    MessageGroup(
        Category.CONTEXT,
        "Required context is not active",
        (
            KernelMessage(
                rule="rcu-required",
                wordings={
                    "kernel func {func} requires RCU critical section protection": "7.2-7.3",
                    "expected an RCU CS when using {func}": "6.12-7.3",
                },
                reason="{func} works under RCU only, and no RCU read section is open here.",
                suggestion="Call it between bpf_rcu_read_lock() and bpf_rcu_read_unlock().",
                follow=Follow.RCU,
            ),
        ),
    ),
)
