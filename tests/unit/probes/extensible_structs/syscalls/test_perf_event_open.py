# SPDX-License-Identifier: GPL-2.0-or-later
"""perf_event_open(): bits that need others, perf_event_paranoid, and what a machine knows and cannot do."""

from __future__ import annotations

import errno as errnos
from collections.abc import Callable

import pytest

from kprobe_tool.native import perf_event
from kprobe_tool.native.prober import Call, CallAnswer, Memory
from kprobe_tool.probes.extensible_structs import table
from kprobe_tool.probes.extensible_structs.model import Field, FlagResult, ProbeMethod, Size, Support

from ..fake import FakeProber, answer_with

ENTRY = table.entry("perf_event_open")
FIELDS = {field.name: field for field in ENTRY.fields}
Judge = Callable[[perf_event.perf_event_attr], int]


def kernel(judge: Judge = lambda attr: 0, size: int = 136) -> FakeProber:
    """As kernel/events/core.c does it: flags, the size, the attr, and a group that is missing."""

    def answer(call: Call) -> CallAnswer:
        memory, pid, cpu, group, flags = call.args
        assert (pid, cpu, group) == (0, -1, perf_event.NO_GROUP), "an event"
        assert isinstance(memory, Memory)
        if flags:
            return answer_with(errnos.EINVAL, call)
        attr = perf_event.perf_event_attr.from_buffer_copy(memory.data)
        if (attr.size and attr.size < perf_event.SIZE_VER0) or any(memory.data[size : attr.size]):
            attr.size = size
            return answer_with(errnos.E2BIG, call, bytes(attr))
        return answer_with(judge(attr) or errnos.EBADF, call)

    return FakeProber(answer)


def ask(judge: Judge, field: Field, name: str) -> FlagResult:
    flag = next(flag for flag in field.flags if flag.name == name)
    return ENTRY.recipe.ask_flags(kernel(judge), field, [flag], 136)[flag]


def test_questions_are_answered_and_the_size_is_written_back() -> None:
    prober = kernel()
    assert ENTRY.recipe.ask_reach(prober).errno in ENTRY.recipe.reach_errnos
    assert prober.ask(ENTRY.recipe.second_call()).errno in ENTRY.recipe.second_errnos
    assert ENTRY.recipe.ask_size(prober, ()) == Size(136, ProbeMethod.WRITE_BACK)
    refused = FakeProber(lambda call: answer_with(errnos.EACCES, call))
    assert ENTRY.recipe.ask_size(refused, ()) == Size(reason="no size was written back (EACCES)")
    assert refused.ask(ENTRY.recipe.second_call()).errno in ENTRY.recipe.second_errnos


def test_controls_are_answered() -> None:
    accepted, refused = ENTRY.recipe.controls(136)
    prober = kernel(lambda attr: errnos.EINVAL if perf_event.one_bit_fields(attr.bits) & 1 << 63 else 0)
    assert prober.ask(accepted.call).errno in accepted.expected
    assert prober.ask(refused.call).errno in refused.expected
    assert accepted.needs is not None


def test_bits_are_asked_with_those_they_need() -> None:
    def judge(attr: perf_event.perf_event_attr) -> int:
        bits = perf_event.one_bit_fields(attr.bits)
        inherit_thread, sigtrap = bits & 1 << 35, bits & 1 << 37
        if inherit_thread and not bits & perf_event.INHERIT:
            return errnos.EINVAL
        return errnos.EINVAL if sigtrap and not bits & perf_event.REMOVE_ON_EXEC else 0

    for name in ("inherit_thread", "sigtrap", "remove_on_exec"):
        assert ask(judge, FIELDS["bits"], name).accepted is Support.YES


def test_one_bit_fields_are_counted_from_the_highest_bit_on_a_big_endian_machine() -> None:
    """So does gcc: the kernel of an s390x took our exclude_kernel for a reserved bit, and all was EINVAL."""
    fields = 1 | perf_event.EXCLUDE_KERNEL
    assert perf_event.one_bit_fields(fields, "little") == 0x21
    assert perf_event.one_bit_fields(fields, "big") == 0x84 << 56
    assert perf_event.one_bit_fields(1 << 63, "big") == 1


def test_samples_are_asked_with_the_fields_they_need() -> None:
    def judge(attr: perf_event.perf_event_attr) -> int:
        if attr.sample_type & perf_event.PERF_SAMPLE_BRANCH_STACK and not attr.branch_sample_type:
            return errnos.EINVAL
        if attr.sample_type & perf_event.PERF_SAMPLE_REGS_USER and not attr.sample_regs_user:
            return errnos.EINVAL
        if attr.branch_sample_type and not attr.sample_type & perf_event.PERF_SAMPLE_BRANCH_STACK:
            return errnos.EINVAL
        return 0

    for name in ("PERF_SAMPLE_BRANCH_STACK", "PERF_SAMPLE_REGS_USER"):
        assert ask(judge, FIELDS["sample_type"], name).accepted is Support.YES
    branch = FIELDS["branch_sample_type"]
    assert ask(judge, branch, branch.flags[3].name).accepted is Support.YES


@pytest.mark.parametrize(
    ("errno", "support", "in_mask"),
    [
        (errnos.EOPNOTSUPP, Support.NO, Support.YES),
        (errnos.ENOSYS, Support.NO, Support.YES),
        (errnos.EINVAL, Support.NO, Support.UNKNOWN),
        (errnos.EACCES, Support.UNKNOWN, Support.UNKNOWN),
        (errnos.EMFILE, Support.UNKNOWN, Support.UNKNOWN),
    ],
)
def test_an_errno_tells_what_is_known_and_what_is_refused(errno: int, support: Support, in_mask: Support) -> None:
    result = ask(lambda attr: errno, FIELDS["read_format"], "PERF_FORMAT_GROUP")
    assert (result.accepted, result.in_mask, result.errno) == (support, in_mask, errno)
    assert result.method is ProbeMethod.PROBE
    assert (result.note is None) == (errno == errnos.EINVAL)
    assert ("perf_event_paranoid" in (result.note or "")) == (errno == errnos.EACCES)


def test_no_larger_struct_is_claimed_than_there_is_memory_for() -> None:
    """A kernel to come may have a larger struct."""
    flag = FIELDS["bits"].flags[0]
    call = ENTRY.recipe.flag_call(FIELDS["bits"], flag.value, 4096)
    memory = call.args[0]
    assert isinstance(memory, Memory)
    newest = perf_event.LAYOUT[-1]
    assert perf_event.size_of(memory.data) == newest.offset + newest.size <= len(memory.data)
