# SPDX-License-Identifier: GPL-2.0-or-later
"""listmount(): its flags are judged before the request, which nobody can read."""

from __future__ import annotations

import errno as errnos

import pytest

from kprobe_tool.native import mount
from kprobe_tool.native.prober import Call, CallAnswer, Memory
from kprobe_tool.native.syscall import BADPTR
from kprobe_tool.probes.extensible_structs import table
from kprobe_tool.probes.extensible_structs.model import Field, ProbeMethod, Size, Support

from ..fake import FakeProber, answer_with

ENTRY = table.entry("listmount")
FLAGS = ENTRY.fields[-1]


def kernel(flags: int = 1, size: int = 32, missing: int = errnos.ENOENT) -> FakeProber:
    """As fs/namespace.c does it: flags, the request by the size that it claims, and a mount that is missing."""

    def answer(call: Call) -> CallAnswer:
        request, _, _, given = call.args
        assert isinstance(given, int)
        if given & 0xFFFFFFFF & ~flags:
            return answer_with(errnos.EINVAL, call)
        if request == BADPTR:
            return answer_with(errnos.EFAULT, call)
        assert isinstance(request, Memory)
        claimed = mount.mnt_id_req.from_buffer_copy(request.data[:32])
        assert claimed.mnt_id == 0, "a mount that there is"
        if any(request.data[size : claimed.size]):
            return answer_with(errnos.E2BIG, call)
        return answer_with(missing, call)

    return FakeProber(answer)


def ask(prober: FakeProber, field: Field, bit: int) -> Support:
    return ENTRY.recipe.ask_flag(prober, field, ENTRY.recipe.unnamed_flag(field, bit), 32).accepted


def test_questions_and_controls_are_answered() -> None:
    prober = kernel()
    assert ENTRY.recipe.ask_reach(prober).errno in ENTRY.recipe.reach_errnos
    assert prober.ask(ENTRY.recipe.second_call()).errno in ENTRY.recipe.second_errnos
    for control in ENTRY.recipe.controls(32):
        assert prober.ask(control.call).errno in control.expected, control.what


def test_flags_are_refused_where_they_are_not_known() -> None:
    assert ask(kernel(flags=1), FLAGS, 0) is Support.YES
    assert ask(kernel(flags=0), FLAGS, 0) is Support.NO
    assert ask(kernel(flags=1), FLAGS, 30) is Support.NO


@pytest.mark.parametrize("size", [24, 32, 40])
@pytest.mark.parametrize("missing", [errnos.ENOENT, errnos.EBADF, errnos.EPERM, errnos.EINVAL])
def test_the_size_is_found_whatever_the_errno_of_a_missing_mount(size: int, missing: int) -> None:
    assert ENTRY.recipe.ask_size(kernel(size=size, missing=missing), (32,)) == Size(size, ProbeMethod.E2BIG)
