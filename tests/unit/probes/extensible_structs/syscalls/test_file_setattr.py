# SPDX-License-Identifier: GPL-2.0-or-later
"""file_setattr(): both flags are judged before the path, which nobody can read."""

from __future__ import annotations

import errno as errnos

import pytest

from kprobe_tool.native import fileattr
from kprobe_tool.native.prober import Call, CallAnswer, Memory
from kprobe_tool.native.syscall import BADPTR, PAGE_SIZE
from kprobe_tool.probes.extensible_structs import table
from kprobe_tool.probes.extensible_structs.model import ProbeMethod, Size, Support

from ..fake import FakeProber, answer_with

ENTRY = table.entry("file_setattr")
XFLAGS, AT_FLAGS = ENTRY.fields[0], ENTRY.fields[-1]
KNOWN = 0x8001FFFF
AT_KNOWN = 0x1100


def kernel(size: int = 24) -> FakeProber:
    """file_setattr() in the order of fs/file_attr.c: at_flags, the size, the tail, fa_xflags, and then the path."""

    def answer(call: Call) -> CallAnswer:
        dfd, path, attr, usize, at_flags = call.args
        assert (dfd, path) == (-1, BADPTR), "a file that could be changed"
        assert isinstance(attr, Memory) and isinstance(usize, int) and isinstance(at_flags, int)
        if at_flags & ~AT_KNOWN:
            return answer_with(errnos.EINVAL, call)
        if usize > PAGE_SIZE:
            return answer_with(errnos.E2BIG, call)
        if usize < fileattr.SIZE_VER0:
            return answer_with(errnos.EINVAL, call)
        if any(attr.data[size:usize]):
            return answer_with(errnos.E2BIG, call)
        xflags = fileattr.file_attr.from_buffer_copy(attr.data[:24]).fa_xflags
        return answer_with(errnos.EINVAL if xflags & ~KNOWN else errnos.EFAULT, call)

    return FakeProber(answer)


def test_questions_and_controls_are_answered() -> None:
    prober = kernel()
    assert ENTRY.recipe.ask_reach(prober).errno in ENTRY.recipe.reach_errnos
    assert prober.ask(ENTRY.recipe.second_call()).errno in ENTRY.recipe.second_errnos
    for control in ENTRY.recipe.controls(24):
        assert prober.ask(control.call).errno in control.expected, control.what


@pytest.mark.parametrize("size", [24, 32, 64])
def test_the_size_is_found(size: int) -> None:
    assert ENTRY.recipe.ask_size(kernel(size), (24,)) == Size(size, ProbeMethod.E2BIG)


def test_flags_of_the_struct_and_of_the_argument_are_told() -> None:
    prober = kernel()
    xflags = ENTRY.recipe.ask_flags(prober, XFLAGS, XFLAGS.flags, 24)
    assert {flag.name for flag, result in xflags.items() if result.accepted is Support.YES} == {
        flag.name for flag in XFLAGS.flags if not flag.value & ~KNOWN
    }
    at_flags = ENTRY.recipe.ask_flags(prober, AT_FLAGS, AT_FLAGS.flags, 24)
    assert {result.accepted for result in at_flags.values()} == {Support.YES}
    unnamed = ENTRY.recipe.unnamed_flag(AT_FLAGS, 30)
    assert ENTRY.recipe.ask_flag(prober, AT_FLAGS, unnamed, 24).accepted is Support.NO
    assert ENTRY.recipe.ask_flag(prober, XFLAGS, ENTRY.recipe.unnamed_flag(XFLAGS, 62), 24).accepted is Support.NO


def test_check_fields_is_asked_with_a_whole_page() -> None:
    call = ENTRY.recipe.check_fields_call(b"\xaa" * PAGE_SIZE, 1 << 63 | PAGE_SIZE)
    assert call is not None
    assert call.args[2:4] == (Memory(b"\xaa" * PAGE_SIZE), 1 << 63 | PAGE_SIZE)
