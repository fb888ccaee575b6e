# SPDX-License-Identifier: GPL-2.0-or-later
"""openat2(): the flags that need others, the mode in one call, and bit 26."""

from __future__ import annotations

import errno as errnos
import os

import pytest

from kprobe_tool.native import openat2
from kprobe_tool.native.prober import Call, CallAnswer
from kprobe_tool.probes.extensible_structs import table
from kprobe_tool.probes.extensible_structs.model import Field, FlagResult, ProbeMethod, Support

from ..fake import FakeProber, Kernel, Openat2Kernel, answer_with, kill_caller

ENTRY = table.entry("openat2")
FLAGS, MODE, RESOLVE = ENTRY.fields


def ask(kernel: Kernel, field: Field, name: str) -> FlagResult:
    flag = next(flag for flag in field.flags if flag.name == name)
    return ENTRY.recipe.ask_flags(FakeProber(kernel), field, [flag], 24)[flag]


@pytest.mark.parametrize(
    ("field", "name"),
    [(FLAGS, "O_PATH"), (FLAGS, "__O_TMPFILE"), (MODE, "S_ISUID"), (RESOLVE, "RESOLVE_IN_ROOT")],
)
def test_flags_of_every_field_are_accepted(field: Field, name: str) -> None:
    assert ask(Openat2Kernel(), field, name).accepted is Support.YES


def test_the_mode_is_asked_in_one_call() -> None:
    """Where not all bits are accepted, each is asked alone."""
    prober = FakeProber(Openat2Kernel())
    found = ENTRY.recipe.ask_flags(prober, MODE, MODE.flags, 24)
    assert ({result.accepted for result in found.values()}, prober.calls) == ({Support.YES}, 1)
    assert len(found) == 12
    (call,) = prober.asked_calls
    assert call == openat2.openat2(flags=os.O_RDWR | os.O_CREAT, mode=0o7777)

    def refuse_sticky_bit(call: Call) -> CallAnswer:
        how = openat2.open_how.from_buffer_copy(call.args[2].data)  # type: ignore[union-attr]
        return answer_with(errnos.EINVAL if how.mode & 0o1000 else errnos.EFAULT, call)

    prober = FakeProber(refuse_sticky_bit)
    found = ENTRY.recipe.ask_flags(prober, MODE, MODE.flags, 24)
    assert [flag.name for flag, result in found.items() if result.accepted is not Support.YES] == ["S_ISVTX"]
    assert prober.calls == 1 + 12


def test_a_few_bits_of_the_mode_are_asked_together() -> None:
    """They are asked with no other bit; a single one is not asked twice."""
    some = [flag for flag in MODE.flags if flag.name in {"S_ISUID", "S_ISGID"}]
    prober = FakeProber(Openat2Kernel())
    ENTRY.recipe.ask_flags(prober, MODE, some, 24)
    assert prober.asked_calls == [openat2.openat2(flags=os.O_RDWR | os.O_CREAT, mode=0o6000)]
    refusing = FakeProber(lambda call: answer_with(errnos.EINVAL, call))
    found = ENTRY.recipe.ask_flags(refusing, MODE, some[:1], 24)
    assert ([result.accepted for result in found.values()], refusing.calls) == ([Support.NO], 1)


def test_other_fields_are_asked_one_by_one() -> None:
    prober = FakeProber(Openat2Kernel())
    ENTRY.recipe.ask_flags(prober, RESOLVE, RESOLVE.flags, 24)
    assert prober.calls == len(RESOLVE.flags)


def accept_bit_26(answer_to_empty_path: Kernel) -> Kernel:
    """A kernel that accepts the bit, and answers as another one where the path is empty."""

    def kernel(call: Call) -> CallAnswer:
        return answer_with(errnos.EFAULT, call) if call.args[1] == -1 else answer_to_empty_path(call)

    return kernel


@pytest.mark.parametrize(
    ("kernel", "support"),
    [
        (lambda call: answer_with(errnos.EBADF, call), Support.YES),
        (lambda call: answer_with(errnos.ENOENT, call), Support.IGNORED),
        (lambda call: answer_with(errnos.EACCES, call), Support.UNKNOWN),
        (kill_caller, Support.UNKNOWN),
        (lambda call: CallAnswer(errnos.EBADF, 0, (), signal=31), Support.UNKNOWN),
        (lambda call: CallAnswer(errnos.ENOENT, 0, (), signal=31), Support.UNKNOWN),
    ],
)
def test_an_empty_path_tells_what_bit_26_means(kernel: Kernel, support: Support) -> None:
    result = ask(accept_bit_26(kernel), FLAGS, "O_EMPTYPATH")
    assert (result.accepted, result.method) == (support, ProbeMethod.PROBE)


def test_an_empty_path_is_asked_for_bit_26_only() -> None:
    def kernel(call: Call) -> CallAnswer:
        assert call.args[1] == -1
        return answer_with(errnos.EFAULT, call)

    assert ask(kernel, FLAGS, "OPENAT2_REGULAR").accepted is Support.YES
    assert ask(lambda call: answer_with(errnos.EINVAL, call), FLAGS, "O_EMPTYPATH").accepted is Support.NO


@pytest.mark.parametrize(
    ("machine", "value"),
    [
        ("x86_64", 0o100000),
        ("i686", 0o100000),
        ("s390x", 0o100000),
        ("aarch64", 0o400000),
        ("armv7l", 0o400000),
        ("armv5tel", 0o400000),
        ("ppc64le", 0o200000),
        ("mips64", 0o20000),
    ],
)
def test_o_largefile_is_that_of_the_machine(machine: str, value: int) -> None:
    assert openat2.o_largefile(machine) == value


def test_the_question_and_the_controls_fail_on_every_kernel() -> None:
    prober = FakeProber(Openat2Kernel())
    ENTRY.recipe.ask_reach(prober)
    accepted, refused = ENTRY.recipe.controls(24)
    assert [call.args[3] for call in (*prober.asked_calls, accepted.call, refused.call)] == [0, 24, 24]
    assert accepted.call == openat2.openat2()
    assert refused.call == openat2.openat2(flags=1 << 63)
