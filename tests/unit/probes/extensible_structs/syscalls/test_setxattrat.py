# SPDX-License-Identifier: GPL-2.0-or-later
"""setxattrat(): both flags are judged before the name, which nobody can read."""

from __future__ import annotations

import errno as errnos

import pytest

from kprobe_tool.native import xattr
from kprobe_tool.native.prober import Call, CallAnswer, Memory
from kprobe_tool.native.syscall import BADPTR, PAGE_SIZE
from kprobe_tool.probes.extensible_structs import table
from kprobe_tool.probes.extensible_structs.model import ProbeMethod, Size, Support

from ..fake import FakeProber, answer_with

ENTRY = table.entry("setxattrat")
FLAGS = next(field for field in ENTRY.fields if field.name == "flags")
AT_FLAGS = ENTRY.fields[-1]


def kernel(size: int = 16) -> FakeProber:
    """setxattrat() in the order of fs/xattr.c: the size, the tail, at_flags, flags, and then the name."""

    def answer(call: Call) -> CallAnswer:
        dfd, path, at_flags, name, args, usize = call.args
        assert (dfd, path, name) == (-1, BADPTR, BADPTR), "a file that could be changed"
        assert isinstance(at_flags, int) and isinstance(args, Memory) and isinstance(usize, int)
        if usize < xattr.SIZE_VER0:
            return answer_with(errnos.EINVAL, call)
        if usize > PAGE_SIZE or any(args.data[size:usize]):
            return answer_with(errnos.E2BIG, call)
        flags = xattr.xattr_args.from_buffer_copy(args.data[:16]).flags
        refused = at_flags & ~0x1100 or flags & ~(xattr.XATTR_CREATE | xattr.XATTR_REPLACE)
        return answer_with(errnos.EINVAL if refused else errnos.EFAULT, call)

    return FakeProber(answer)


def test_questions_and_controls_are_answered() -> None:
    prober = kernel()
    assert ENTRY.recipe.ask_reach(prober).errno in ENTRY.recipe.reach_errnos
    assert prober.ask(ENTRY.recipe.second_call()).errno in ENTRY.recipe.second_errnos
    for control in ENTRY.recipe.controls(16):
        assert prober.ask(control.call).errno in control.expected, control.what


def test_flags_of_the_struct_and_of_the_argument_are_told() -> None:
    prober = kernel()
    for field in (FLAGS, AT_FLAGS):
        results = ENTRY.recipe.ask_flags(prober, field, field.flags, 16)
        assert {result.accepted for result in results.values()} == {Support.YES}
        unnamed = ENTRY.recipe.unnamed_flag(field, 30)
        assert ENTRY.recipe.ask_flag(prober, field, unnamed, 16).accepted is Support.NO


@pytest.mark.parametrize("size", [16, 24])
def test_the_size_is_found(size: int) -> None:
    assert ENTRY.recipe.ask_size(kernel(size), (16,)) == Size(size, ProbeMethod.E2BIG)
