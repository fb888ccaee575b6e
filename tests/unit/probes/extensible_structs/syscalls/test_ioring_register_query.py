# SPDX-License-Identifier: GPL-2.0-or-later
"""IORING_REGISTER_QUERY: a kernel that has the query tells what it takes."""

from __future__ import annotations

import ctypes
import errno as errnos

import pytest

from kprobe_tool.native import io_uring
from kprobe_tool.native.prober import Call, CallAnswer, Memory
from kprobe_tool.probes.extensible_structs import table
from kprobe_tool.probes.extensible_structs.model import ProbeMethod, Size, Support

from ..fake import FakeProber, answer_with, kill_caller

ENTRY = table.entry("IORING_REGISTER_QUERY")
FIELDS = {field.name: field for field in ENTRY.fields}


def kernel(result: int = 0, size: int = 40, **masks: int) -> FakeProber:
    """As io_uring/query.c does it: the header gets the result, and the size of the whole answer."""

    def answer(call: Call) -> CallAnswer:
        fd, opcode, argument, _ = call.args
        if opcode != io_uring.IORING_REGISTER_QUERY:
            return answer_with(errnos.EBADF, call)
        assert fd == -1, "a ring"
        assert isinstance(argument, Memory)
        header = io_uring.io_uring_query_hdr.from_buffer_copy(argument.data)
        header.result, header.size = result, size
        data = bytes(io_uring.io_uring_query_opcode(**masks))
        return CallAnswer(0, 0, (bytes(header), data))

    return FakeProber(answer)


def test_the_query_is_there_refused_or_absent() -> None:
    prober = kernel()
    assert ENTRY.recipe.ask_reach(prober).errno in ENTRY.recipe.reach_errnos
    assert prober.ask(ENTRY.recipe.second_call()).errno in ENTRY.recipe.second_errnos
    # A query that this kernel does not have is an error in the header, not of the call.
    assert ENTRY.recipe.ask_reach(kernel(result=-errnos.EOPNOTSUPP)).errno == errnos.EOPNOTSUPP
    absent = FakeProber(lambda call: answer_with(errnos.EINVAL, call))
    assert ENTRY.recipe.ask_reach(absent).errno in ENTRY.recipe.absent_errnos


def test_the_size_is_that_of_the_kernel_s_answer() -> None:
    assert ENTRY.recipe.ask_size(kernel(size=48), ()) == Size(48, ProbeMethod.SELF)
    for silent in (kernel(result=-errnos.EINVAL), FakeProber(kill_caller)):
        assert ENTRY.recipe.ask_size(silent, ()) == Size(reason="it is not in the answer to the query")


@pytest.mark.parametrize("name", ["feature_flags", "ring_setup_flags", "enter_flags", "sqe_flags"])
def test_flags_are_those_in_the_field_s_own_mask(name: str) -> None:
    field = FIELDS[name]
    first, *others = field.flags
    results = ENTRY.recipe.ask_flags(kernel(**{name: first.value}), field, field.flags, 40)
    assert results[first].accepted is results[first].in_mask is Support.YES
    assert {results[flag].accepted for flag in others} == {Support.NO}


def test_without_an_answer_flags_are_unknown() -> None:
    field = FIELDS["sqe_flags"]
    refused = FakeProber(lambda call: answer_with(errnos.EPERM, call))
    for prober in (refused, FakeProber(kill_caller), kernel(result=-errnos.ENOMEM)):
        results = ENTRY.recipe.ask_flags(prober, field, field.flags, 40)
        assert {(result.accepted, result.method) for result in results.values()} == {
            (Support.UNKNOWN, ProbeMethod.SELF)
        }


def test_the_answer_has_room() -> None:
    (pointer,) = io_uring.query(80).args[2].pointers  # type: ignore[union-attr]
    assert pointer == (io_uring.io_uring_query_hdr.query_data.offset, bytes(80))
    assert ENTRY.recipe.first_size == ctypes.sizeof(io_uring.io_uring_query_opcode)
