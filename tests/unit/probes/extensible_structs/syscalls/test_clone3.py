# SPDX-License-Identifier: GPL-2.0-or-later
"""clone3() of kernels that are no longer booted: v5.3 has no set_tid, v5.5 no cgroup, v6.9 has pidfds of threads."""

from __future__ import annotations

import errno as errnos

import pytest

from kprobe_tool.native import clone3, sched
from kprobe_tool.native.prober import Call, CallAnswer, Memory
from kprobe_tool.probes.extensible_structs import table
from kprobe_tool.probes.extensible_structs.model import Flag, FlagResult, ProbeMethod, Support

from ..fake import FakeProber, answer_with, kill_caller

ENTRY = table.entry("clone3")
FLAGS = ENTRY.fields[0]
LEGACY = 0xFFFFFFFF & ~0x7F


class Clone3Kernel:
    """clone3() that judges in Linux's order; what it does not refuse would make a process, and fails the test."""

    def __init__(self, size: int, flags: int, *, thread_pidfds: bool = False, privileged: bool = True) -> None:
        self.size = size
        self.flags = flags
        self.thread_pidfds = thread_pidfds
        self.privileged = privileged

    def __call__(self, call: Call) -> CallAnswer:
        memory, usize = call.args
        assert isinstance(memory, Memory)
        assert isinstance(usize, int)
        return answer_with(self.answer(memory, usize), call)

    def answer(self, memory: Memory, usize: int) -> int:
        if usize > 4096 or any(memory.data[self.size : usize]):
            return errnos.E2BIG
        if usize < clone3.SIZE_VER0:
            return errnos.EINVAL
        args = clone3.clone_args.from_buffer_copy(memory.data[:88].ljust(88, b"\0"))
        flags, set_tid = args.flags, self.size >= clone3.SIZE_VER1 and args.set_tid_size
        if args.set_tid_size > 32 or args.exit_signal > 0xFF or flags & ~self.flags or flags & sched.CLONE_DETACHED:
            return errnos.EINVAL
        if flags & sched.CLONE_THREAD and not flags & sched.CLONE_SIGHAND:
            return errnos.EINVAL
        if flags & sched.CLONE_SIGHAND and not flags & sched.CLONE_VM:
            return errnos.EINVAL
        if flags & sched.CLONE_PIDFD and flags & sched.CLONE_THREAD and not self.thread_pidfds:
            return errnos.EINVAL
        if set_tid:
            return errnos.EEXIST if self.privileged else errnos.EPERM
        if flags & sched.CLONE_PIDFD:
            return errnos.EFAULT
        raise AssertionError(f"a process with flags {flags:#x}")


V53 = Clone3Kernel(clone3.SIZE_VER0, LEGACY)
V55 = Clone3Kernel(clone3.SIZE_VER1, LEGACY | sched.CLONE_CLEAR_SIGHAND)
V57 = Clone3Kernel(clone3.SIZE_VER2, LEGACY | sched.CLONE_CLEAR_SIGHAND | sched.CLONE_INTO_CGROUP)
V69 = Clone3Kernel(clone3.SIZE_VER2, LEGACY | 3 << 32, thread_pidfds=True)
NOBODY = Clone3Kernel(clone3.SIZE_VER2, LEGACY | 3 << 32, privileged=False)


def flag(name: str) -> Flag:
    return next(flag for flag in FLAGS.flags if flag.name == name)


def ask(kernel: Clone3Kernel, name: str) -> FlagResult:
    return ENTRY.recipe.ask_flag(FakeProber(kernel), FLAGS, flag(name), kernel.size)


@pytest.mark.parametrize("kernel", [V53, V55, V57, V69, NOBODY])
def test_questions_and_controls_are_answered_by_every_kernel(kernel: Clone3Kernel) -> None:
    for control in ENTRY.recipe.controls(kernel.size):
        assert kernel(control.call).errno in control.expected
    assert ENTRY.recipe.ask_reach(FakeProber(kernel)).errno == errnos.EINVAL
    assert kernel(ENTRY.recipe.second_call()).errno == errnos.E2BIG
    assert ENTRY.recipe.ask_size(FakeProber(kernel), [88]).value == kernel.size


@pytest.mark.parametrize(
    ("kernel", "name", "support"),
    [
        (V53, "CLONE_VM", Support.YES),
        (V53, "CLONE_SIGHAND", Support.YES),
        (V53, "CLONE_THREAD", Support.UNKNOWN),
        (V53, "CLONE_CLEAR_SIGHAND", Support.NO),
        (V53, "CLONE_DETACHED", Support.NO),
        (V55, "CLONE_THREAD", Support.YES),
        (V55, "CLONE_CLEAR_SIGHAND", Support.YES),
        (V55, "CLONE_INTO_CGROUP", Support.NO),
        (V57, "CLONE_THREAD", Support.YES),
        (V57, "CLONE_INTO_CGROUP", Support.YES),
        (V57, "CLONE_DETACHED", Support.NO),
        (V69, "CLONE_THREAD", Support.YES),
        (NOBODY, "CLONE_THREAD", Support.YES),
    ],
)
def test_flags_are_accepted_since_their_release(kernel: Clone3Kernel, name: str, support: Support) -> None:
    assert ask(kernel, name).accepted is support


def test_eagain_comes_after_the_flags_were_judged() -> None:
    """EAGAIN means that there is no room for a process."""
    prober = FakeProber(lambda call: answer_with(errnos.EAGAIN, call))
    assert ENTRY.recipe.ask_flag(prober, FLAGS, flag("CLONE_VM"), 88).accepted is Support.YES


def test_efault_counts_only_where_a_pidfd_was_asked_for() -> None:
    answer = CallAnswer(errnos.EFAULT, -1, ())
    judged = ENTRY.recipe.judge(FLAGS, sched.CLONE_PIDFD, answer)
    assert (judged.accepted, judged.method) == (Support.YES, ProbeMethod.PROBE)
    assert ENTRY.recipe.judge(FLAGS, sched.CLONE_VM, answer).accepted is Support.UNKNOWN
    assert ENTRY.recipe.judge(FLAGS, sched.CLONE_PIDFD, kill_caller(Call("clone3", ()))).accepted is Support.UNKNOWN


@pytest.mark.parametrize(
    ("there", "support"),
    [(True, Support.YES), (False, Support.NO), (PermissionError(errnos.EACCES, "no"), Support.UNKNOWN)],
)
def test_namespaces_are_not_made(monkeypatch: pytest.MonkeyPatch, there: bool | OSError, support: Support) -> None:
    def has_namespace(kind: str) -> bool:
        assert kind == "net"
        if isinstance(there, OSError):
            raise there
        return there

    monkeypatch.setattr(clone3, "has_namespace", has_namespace)
    prober = FakeProber(V57)
    result = ENTRY.recipe.ask_flag(prober, FLAGS, flag("CLONE_NEWNET"), 88)
    assert (result.accepted, result.method, prober.calls) == (support, ProbeMethod.PROCFS, 0)
    assert (result.note is None) is (there is True)
