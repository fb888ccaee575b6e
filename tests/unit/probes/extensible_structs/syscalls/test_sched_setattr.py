# SPDX-License-Identifier: GPL-2.0-or-later
"""sched_setattr(): nothing of the caller changes, and a kernel with clamps is told by the values that it refuses."""

from __future__ import annotations

import errno as errnos

import pytest

from kprobe_tool.native import sched_types
from kprobe_tool.native.prober import Call, CallAnswer, Memory
from kprobe_tool.probes.extensible_structs import table
from kprobe_tool.probes.extensible_structs.model import FlagResult, ProbeMethod, Size, Support

from ..fake import FakeProber, answer_with, kill_caller

ENTRY = table.entry("sched_setattr")
FLAGS = next(field for field in ENTRY.fields if field.name == "sched_flags")
KEEP = sched_types.SCHED_FLAG_KEEP_POLICY | sched_types.SCHED_FLAG_KEEP_PARAMS
CLAMP = sched_types.SCHED_FLAG_UTIL_CLAMP_MIN | sched_types.SCHED_FLAG_UTIL_CLAMP_MAX


def kernel(*, clamps: int = errnos.EINVAL, size: int = 56, known: int = 0x7F) -> FakeProber:
    """As kernel/sched/syscalls.c does it; a policy or a clamp that would be set fails the test."""

    def answer(call: Call) -> CallAnswer:
        pid, memory, flags = call.args
        assert (pid, flags) == (0, 0)
        if memory == 0:
            return answer_with(errnos.EINVAL, call)
        assert isinstance(memory, Memory)
        attr = sched_types.sched_attr.from_buffer_copy(memory.data)
        if attr.size < sched_types.SIZE_VER0:
            attr.size = size
            return answer_with(errnos.E2BIG, call, bytes(attr))
        if attr.sched_flags & ~known:
            return answer_with(errnos.EINVAL, call)
        assert attr.sched_flags & KEEP == KEEP, "another policy"
        if attr.sched_flags & CLAMP:
            assert attr.sched_util_min > 1024 and attr.sched_util_max > 1024, "a clamp"
            return answer_with(clamps, call)
        return answer_with(0, call)

    return FakeProber(answer)


def ask(prober: FakeProber, name: str, size: int = 56) -> FlagResult:
    flag = next(flag for flag in FLAGS.flags if flag.name == f"SCHED_FLAG_{name}")
    return ENTRY.recipe.ask_flags(prober, FLAGS, [flag], size)[flag]


def test_questions_controls_and_the_size_are_answered() -> None:
    prober = kernel()
    assert ENTRY.recipe.ask_reach(prober).errno in ENTRY.recipe.reach_errnos
    assert prober.ask(ENTRY.recipe.second_call()).errno in ENTRY.recipe.second_errnos
    assert ENTRY.recipe.ask_size(prober, ()) == Size(56, ProbeMethod.WRITE_BACK)
    for control in ENTRY.recipe.controls(56):
        assert prober.ask(control.call).errno in control.expected, control.what


def test_flags_are_refused_where_they_are_not_known() -> None:
    assert ask(kernel(), "RECLAIM").accepted is Support.YES
    assert ask(kernel(known=KEEP), "RECLAIM").accepted is Support.NO


@pytest.mark.parametrize(
    ("errno", "support", "in_mask"),
    [
        (errnos.EINVAL, Support.YES, Support.UNKNOWN),
        (errnos.EOPNOTSUPP, Support.NO, Support.YES),
        (errnos.EPERM, Support.UNKNOWN, Support.UNKNOWN),
    ],
)
@pytest.mark.parametrize("name", ["UTIL_CLAMP_MIN", "UTIL_CLAMP_MAX"])
def test_the_errno_of_a_clamp_tells_whether_there_are_any(
    name: str, errno: int, support: Support, in_mask: Support
) -> None:
    result = ask(kernel(clamps=errno), name)
    assert (result.accepted, result.in_mask, result.method) == (support, in_mask, ProbeMethod.PROBE)


def test_a_struct_without_clamps_is_not_asked_for_them() -> None:
    prober = kernel(size=48)
    assert ask(prober, "UTIL_CLAMP_MIN", 48) == FlagResult(Support.NO, ProbeMethod.SIZE)
    assert prober.calls == 0
    assert ask(prober, "RECLAIM", 48).accepted is Support.YES


@pytest.mark.parametrize(("size", "claimed"), [(48, 48), (56, 56), (4096, 56)])
def test_no_larger_struct_is_claimed_than_the_known_one(size: int, claimed: int) -> None:
    memory = ENTRY.recipe.flag_call(FLAGS, 0, size).args[1]
    assert isinstance(memory, Memory)
    assert sched_types.sched_attr.from_buffer_copy(memory.data).size == claimed


def test_a_signal_is_no_answer() -> None:
    assert ask(FakeProber(kill_caller), "UTIL_CLAMP_MAX").accepted is Support.UNKNOWN
