# SPDX-License-Identifier: GPL-2.0-or-later
"""clone3(2)."""

from __future__ import annotations

import errno as errnos
from collections.abc import Iterator, Sequence

from kprobe_tool.native import clone3, sched
from kprobe_tool.native.prober import Call, CallAnswer, Prober
from kprobe_tool.native.syscall import PAGE_SIZE
from kprobe_tool.probes.extensible_structs.model import (
    Field,
    FieldFacts,
    Flag,
    FlagResult,
    ProbeMethod,
    Support,
    fields,
)
from kprobe_tool.probes.extensible_structs.recipe import Control, Recipe, SyscallEntry, page

SIGHAND = sched.CLONE_VM | sched.CLONE_SIGHAND

FLAGS = (
    Flag("CLONE_VM", sched.CLONE_VM, "5.3"),
    Flag("CLONE_FS", sched.CLONE_FS, "5.3"),
    Flag("CLONE_FILES", sched.CLONE_FILES, "5.3"),
    Flag("CLONE_SIGHAND", sched.CLONE_SIGHAND, "5.3", (sched.CLONE_VM,)),
    Flag("CLONE_PIDFD", sched.CLONE_PIDFD, "5.3"),
    Flag("CLONE_PTRACE", sched.CLONE_PTRACE, "5.3"),
    Flag("CLONE_VFORK", sched.CLONE_VFORK, "5.3"),
    Flag("CLONE_PARENT", sched.CLONE_PARENT, "5.3"),
    Flag("CLONE_THREAD", sched.CLONE_THREAD, "5.3", (SIGHAND,)),
    Flag("CLONE_SYSVSEM", sched.CLONE_SYSVSEM, "5.3"),
    Flag("CLONE_SETTLS", sched.CLONE_SETTLS, "5.3"),
    Flag("CLONE_PARENT_SETTID", sched.CLONE_PARENT_SETTID, "5.3"),
    Flag("CLONE_CHILD_CLEARTID", sched.CLONE_CHILD_CLEARTID, "5.3"),
    # Refused by clone3 on purpose, and yet in CLONE_LEGACY_FLAGS.
    Flag("CLONE_DETACHED", sched.CLONE_DETACHED, "5.3", always_refused=True),
    Flag("CLONE_UNTRACED", sched.CLONE_UNTRACED, "5.3"),
    Flag("CLONE_CHILD_SETTID", sched.CLONE_CHILD_SETTID, "5.3"),
    Flag("CLONE_IO", sched.CLONE_IO, "5.3"),
    Flag("CLONE_NEWNS", sched.CLONE_NEWNS, "5.3"),
    Flag("CLONE_NEWCGROUP", sched.CLONE_NEWCGROUP, "5.3"),
    Flag("CLONE_NEWUTS", sched.CLONE_NEWUTS, "5.3"),
    Flag("CLONE_NEWIPC", sched.CLONE_NEWIPC, "5.3"),
    Flag("CLONE_NEWUSER", sched.CLONE_NEWUSER, "5.3"),
    Flag("CLONE_NEWPID", sched.CLONE_NEWPID, "5.3"),
    Flag("CLONE_NEWNET", sched.CLONE_NEWNET, "5.3"),
    Flag("CLONE_NEWTIME", sched.CLONE_NEWTIME, "5.6"),
    Flag("CLONE_CLEAR_SIGHAND", sched.CLONE_CLEAR_SIGHAND, "5.5"),
    Flag("CLONE_INTO_CGROUP", sched.CLONE_INTO_CGROUP, "5.7"),
    Flag("CLONE_AUTOREAP", sched.CLONE_AUTOREAP, "7.1"),
    Flag("CLONE_NNP", sched.CLONE_NNP, "7.1"),
    Flag("CLONE_PIDFD_AUTOKILL", sched.CLONE_PIDFD_AUTOKILL, "7.1", (sched.CLONE_AUTOREAP,)),
    Flag("CLONE_EMPTY_MNTNS", sched.CLONE_EMPTY_MNTNS, "7.1"),
)

# A whole namespace would be made before set_tid is looked at, so these are read from /proc/self/ns.
NAMESPACES = {
    sched.CLONE_NEWNS: "mnt",
    sched.CLONE_NEWCGROUP: "cgroup",
    sched.CLONE_NEWUTS: "uts",
    sched.CLONE_NEWIPC: "ipc",
    sched.CLONE_NEWUSER: "user",
    sched.CLONE_NEWPID: "pid",
    sched.CLONE_NEWNET: "net",
    sched.CLONE_NEWTIME: "time",
}

PID_REFUSED = frozenset({errnos.EEXIST, errnos.EPERM})
CANNOT_FORK = frozenset({errnos.EAGAIN})

INVALID = b"\xff" * clone3.SIZE_VER0
"""Flags, exit_signal and stack that no version takes."""


class Clone3(Recipe):
    """clone3() that asks for pid 1, with a pidfd that has nowhere to go and a cgroup that does not exist.

    Flags have no early step to themselves: EINVAL is all that copy_process() says of them. What is not EINVAL got as
    far as alloc_pid(), where pid 1 is EEXIST, or EPERM without CAP_CHECKPOINT_RESTORE; before Linux v5.5, which has
    no set_tid, as far as the pidfd's EFAULT. EAGAIN (no more processes for this user) comes after the flags, too.
    """

    first_size = clone3.SIZE_VER0
    sizes = (clone3.SIZE_VER2, clone3.SIZE_VER1)
    accepted = PID_REFUSED | CANNOT_FORK

    def ask_reach(self, prober: Prober) -> CallAnswer:
        return prober.ask(clone3.clone3_raw(INVALID, 0))

    def second_call(self) -> Call:
        return clone3.clone3_raw(INVALID, 2 * PAGE_SIZE)

    def check_fields_call(self, fill: bytes, usize: int) -> Call:
        return clone3.clone3_raw(fill, usize)

    def oversized_call(self, place: int) -> Call:
        return clone3.clone3_raw(page(place, INVALID), len(page(place)))

    def failing_flags(self, size: int) -> int:
        """The flags with which the bad pidfd and the bad cgroup of clone3() count as reasons to fail."""
        return sched.CLONE_PIDFD | (sched.CLONE_INTO_CGROUP if size >= clone3.SIZE_VER2 else 0)

    def controls(self, size: int) -> Sequence[Control]:
        expected = self.accepted if size >= clone3.SIZE_VER1 else CANNOT_FORK | {errnos.EFAULT}
        return (
            Control(clone3.clone3(self.failing_flags(size), size), expected, "an existing pid and a bad pidfd"),
            Control(clone3.clone3(self.failing_flags(size) | 1 << 63, size), self.refused, "unknown flag bit 63"),
        )

    def flag_call(self, field: Field, bits: int, size: int) -> Call:
        return clone3.clone3(bits, size)

    def bit_combinations(self, field: Field, flag: Flag, size: int) -> Iterator[int]:
        for_thread = flag.value == sched.CLONE_THREAD
        for bits in super().bit_combinations(field, flag, size):
            yield bits | self.failing_flags(size)
            if for_thread and size >= clone3.SIZE_VER1:
                # Threads have pidfds since Linux v6.9 only: before, the taken pid and the cgroup are to fail.
                yield bits | (self.failing_flags(size) & ~sched.CLONE_PIDFD)

    def judge(self, field: Field, bits: int, answer: CallAnswer) -> FlagResult:
        if answer.signal is None and answer.errno == errnos.EFAULT and bits & sched.CLONE_PIDFD:
            return FlagResult(Support.YES, ProbeMethod.PROBE, answer.errno)
        return super().judge(field, bits, answer)

    def ask_flag(self, prober: Prober, field: Field, flag: Flag, size: int) -> FlagResult:
        if flag.value == sched.CLONE_THREAD and size < clone3.SIZE_VER1:
            return FlagResult(Support.UNKNOWN, note="not tried: before Linux v5.5 the call would create the thread")
        namespace = NAMESPACES.get(flag.value)
        if namespace is None:
            return super().ask_flag(prober, field, flag, size)
        try:
            there = clone3.has_namespace(namespace)
        except OSError as error:
            return FlagResult(
                Support.UNKNOWN, ProbeMethod.PROCFS, error.errno, f"/proc/self/ns/{namespace} cannot be seen"
            )
        note = None if there else f"no /proc/self/ns/{namespace}"
        return FlagResult(Support.YES if there else Support.NO, ProbeMethod.PROCFS, note=note)


ENTRY = SyscallEntry(
    name="clone3",
    struct="clone_args",
    since="5.3",
    fields=fields(
        clone3.LAYOUT,
        "5.3",
        {
            "flags": FieldFacts(
                "5.3", FLAGS, "CHECK_FIELDS also has CLONE_DETACHED and CSIGNAL, which clone3 refuses"
            ),
            "exit_signal": FieldFacts("5.3", note="takes 0 to 64; CHECK_FIELDS says 0xff"),
            "set_tid": "5.5",
            "set_tid_size": FieldFacts("5.5", note="takes 0 to 32; CHECK_FIELDS says all ones"),
            "cgroup": "5.7",
        },
    ),
    recipe=Clone3(),
)
