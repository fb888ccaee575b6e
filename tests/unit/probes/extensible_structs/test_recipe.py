# SPDX-License-Identifier: GPL-2.0-or-later
"""What all recipes share: the size by E2BIG, flags by errno, and masks that a kernel tells."""

from __future__ import annotations

import errno as errnos
import signal
from collections.abc import Sequence

import pytest

from kprobe_tool.native.prober import Call, CallAnswer, Memory
from kprobe_tool.native.syscall import PAGE_SIZE
from kprobe_tool.probes.extensible_structs import recipe, table
from kprobe_tool.probes.extensible_structs.model import Field, Flag, FlagResult, ProbeMethod, Size, Support

from .fake import FakeProber, Kernel, Openat2Kernel, answer_with, kill_caller

OPENAT2 = table.entry("openat2").recipe
FIELD = Field("flags", 0, 8, "5.6")


def errno_answer(number: int, memory: bytes = b"") -> CallAnswer:
    return CallAnswer(number, -1 if number else 0, (memory,))


@pytest.mark.parametrize(
    ("size", "guesses", "calls"),
    [
        (24, [24], 2),
        (40, [40, 24], 2),
        (24, [40, 24], 4),
        (24, [24, 24], 2),
        (40, [24], 14),
        (PAGE_SIZE - 1, [24], 14),
    ],
)
def test_the_size_is_found_in_few_calls(size: int, guesses: Sequence[int], calls: int) -> None:
    """A guess costs two calls, bisecting a page twelve; the same guess is not asked twice."""
    prober = FakeProber(Openat2Kernel(size=size))
    assert OPENAT2.ask_size(prober, guesses) == Size(size, ProbeMethod.E2BIG)
    assert prober.calls <= calls


def test_the_size_of_the_first_version_is_found_by_bisection() -> None:
    assert OPENAT2.ask_size(FakeProber(Openat2Kernel(size=24)), [40]) == Size(24, ProbeMethod.E2BIG)


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [
        (
            lambda call: answer_with(errnos.EFAULT, call),
            "the kernel refused no byte, not even the last one of a page",
        ),
        (lambda call: answer_with(errnos.E2BIG, call), "the kernel refused every byte"),
        (lambda call: answer_with(errnos.EPERM, call), "EPERM tells nothing about the size"),
        (kill_caller, "SIGSYS tells nothing about the size"),
        (lambda call: CallAnswer(errnos.E2BIG, 0, (), signal=9), "SIGKILL tells nothing about the size"),
    ],
)
def test_a_size_that_cannot_be_found_has_a_reason(kernel: Kernel, reason: str) -> None:
    assert OPENAT2.ask_size(FakeProber(kernel), [24]) == Size(reason=reason)


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (errno_answer(0), "success"),
        (errno_answer(errnos.EFAULT), "EFAULT"),
        (errno_answer(errnos.EOPNOTSUPP), "EOPNOTSUPP"),
        (errno_answer(9999), "errno 9999"),
        (CallAnswer(0, 0, (), signal.SIGSYS), "SIGSYS"),
        (CallAnswer(0, 0, (), 0), "the end of the caller"),
    ],
)
def test_every_answer_has_a_name(answer: CallAnswer, name: str) -> None:
    assert recipe.answer_name(answer) == name


@pytest.mark.parametrize(
    ("answer", "support"),
    [
        (errno_answer(errnos.EFAULT), Support.YES),
        (errno_answer(errnos.EINVAL), Support.NO),
        (errno_answer(errnos.EPERM), Support.UNKNOWN),
        (CallAnswer(errnos.EFAULT, 0, (), signal.SIGSYS), Support.UNKNOWN),
        (CallAnswer(errnos.EINVAL, 0, (), signal.SIGSYS), Support.UNKNOWN),
    ],
)
def test_an_answer_that_says_nothing_has_a_note(answer: CallAnswer, support: Support) -> None:
    result = OPENAT2.judge(FIELD, 1, answer)
    assert (result.accepted, result.method) == (support, ProbeMethod.PROBE)
    assert (result.note is None) is (support is not Support.UNKNOWN)


def test_a_flag_is_tried_with_others_while_the_answer_is_no() -> None:
    flag = Flag("F", 1, "5.6", (2, 4, 8))
    field = Field("flags", 0, 8, "5.6", (flag,))

    def kernel(call: Call) -> CallAnswer:
        memory = call.args[2]
        assert isinstance(memory, Memory)
        return answer_with(errnos.EFAULT if memory.data[0] & 4 else errnos.EINVAL, call)

    prober = FakeProber(kernel)
    assert OPENAT2.ask_flags(prober, field, [flag], 24) == {
        flag: FlagResult(Support.YES, ProbeMethod.PROBE, errnos.EFAULT)
    }
    assert [call.args[2].data[0] for call in prober.asked_calls if isinstance(call.args[2], Memory)] == [1, 3, 5]


@pytest.mark.parametrize(
    ("answer", "size"),
    [
        (errno_answer(errnos.E2BIG, (56).to_bytes(4, "little")), Size(56, ProbeMethod.WRITE_BACK)),
        (errno_answer(errnos.E2BIG, (48).to_bytes(4, "little")), Size(48, ProbeMethod.WRITE_BACK)),
        (errno_answer(errnos.E2BIG, (47).to_bytes(4, "little")), Size(reason="no size was written back (E2BIG)")),
        (errno_answer(errnos.EPERM, (56).to_bytes(4, "little")), Size(reason="no size was written back (EPERM)")),
    ],
)
def test_a_size_is_written_back_with_e2big(answer: CallAnswer, size: Size) -> None:
    assert recipe.size_written_back(answer, lambda memory: int.from_bytes(memory, "little"), 48) == size


def test_a_size_of_a_call_that_was_killed_does_not_count() -> None:
    answer = CallAnswer(errnos.E2BIG, 0, ((56).to_bytes(4, "little"),), signal.SIGSYS)
    size = recipe.size_written_back(answer, lambda memory: int.from_bytes(memory, "little"), 48)
    assert size == Size(reason="no size was written back (SIGSYS)")


def test_a_signal_is_no_success_of_a_description() -> None:
    flag = Flag("A", 1, "5.0")
    killed = recipe.leave_unknown([flag], CallAnswer(0, 0, (), signal.SIGSYS), "the query")
    assert killed[flag] == FlagResult(Support.UNKNOWN, ProbeMethod.SELF, None, "the query answers SIGSYS")
    refused = recipe.leave_unknown([flag], CallAnswer(errnos.EPERM, -1, ()), "the query")
    assert refused[flag] == FlagResult(Support.UNKNOWN, ProbeMethod.SELF, errnos.EPERM, "the query answers EPERM")


A, B = Flag("A", 1, "6.8"), Flag("B", 2, "6.11")


def test_the_supported_mask_or_the_filled_one_decides() -> None:
    """Where there is no supported mask, a bit that was not filled says nothing."""
    found = recipe.judge_masks((A, B), filled=0, supported=1, note="note")
    assert found == {
        A: FlagResult(Support.YES, ProbeMethod.SELF, in_mask=Support.YES),
        B: FlagResult(Support.NO, ProbeMethod.SELF, in_mask=Support.NO),
    }
    found = recipe.judge_masks((A, B), filled=2, supported=None, note="note")
    assert found == {
        A: FlagResult(Support.UNKNOWN, ProbeMethod.SELF, note="note"),
        B: FlagResult(Support.YES, ProbeMethod.SELF),
    }


def test_a_page_has_one_byte_behind_the_struct() -> None:
    page = recipe.page(24, b"\x01")
    assert len(page) == PAGE_SIZE
    assert [place for place, byte in enumerate(page) if byte] == [0, 24]


def test_an_unnamed_flag_is_tried_with_the_others_of_its_field() -> None:
    flag = OPENAT2.unnamed_flag(FIELD, 40)
    assert (flag.name, flag.value, flag.since) == ("bit 40", 1 << 40, "")
    assert len(flag.tried_with) == 3
    assert OPENAT2.unnamed_flag(Field("resolve", 16, 8, "5.6"), 40).tried_with == ()


def test_an_entry_without_symbols_has_its_own_name() -> None:
    assert table.entry("openat2").symbols == ("openat2",)
    assert table.entry("PIDFD_GET_INFO").symbols == ("pidfd_open", "ioctl")
