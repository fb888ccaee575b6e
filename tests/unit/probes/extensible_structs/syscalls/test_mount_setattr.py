# SPDX-License-Identifier: GPL-2.0-or-later
"""mount_setattr(): never an attr that changes nothing, and what stays unknown without privileges."""

from __future__ import annotations

import errno as errnos

import pytest

from kprobe_tool.native import mount
from kprobe_tool.native.prober import Call, CallAnswer, Memory
from kprobe_tool.native.syscall import BADPTR, PAGE_SIZE
from kprobe_tool.probes.extensible_structs import table
from kprobe_tool.probes.extensible_structs.model import Field, FlagResult, ProbeMethod, Size, Support

from ..fake import FakeProber, answer_with, kill_caller

ENTRY = table.entry("mount_setattr")
FIELDS = {field.name: field for field in ENTRY.fields}
ATIME = mount.MOUNT_ATTR__ATIME
KNOWN = 0x3000FF
AT_KNOWN = 0x9900


def kernel(*, root: bool = True, size: int = 32, known: int = KNOWN) -> FakeProber:
    """mount_setattr() in the order of fs/namespace.c; what would be done to a mount fails the test."""

    def answer(call: Call) -> CallAnswer:
        dfd, path, at_flags, attr, usize = call.args
        assert (dfd, path) == (-1, BADPTR), "a mount that could be changed"
        assert isinstance(at_flags, int) and isinstance(attr, Memory) and isinstance(usize, int)
        if at_flags & ~AT_KNOWN:
            return answer_with(errnos.EINVAL, call)
        if usize > PAGE_SIZE:
            return answer_with(errnos.E2BIG, call)
        if usize < 32:
            return answer_with(errnos.EINVAL, call)
        if not root:
            return answer_with(errnos.EPERM, call)
        if any(attr.data[size:usize]):
            return answer_with(errnos.E2BIG, call)
        given = mount.mount_attr.from_buffer_copy(attr.data[:32])
        assert given.attr_set or given.attr_clr or given.propagation, "a success"
        return answer_with(judge(given), call)

    def judge(given: mount.mount_attr) -> int:
        if (given.attr_set | given.attr_clr) & ~known or given.propagation & ~0x1E0000:
            return errnos.EINVAL
        if given.propagation.bit_count() > 1:
            return errnos.EINVAL
        if given.attr_clr & ATIME and given.attr_clr & ATIME != ATIME:
            return errnos.EINVAL
        if given.attr_set & ATIME and given.attr_clr & ATIME != ATIME:
            return errnos.EINVAL
        if given.attr_clr & mount.MOUNT_ATTR_IDMAP:
            return errnos.EINVAL
        return errnos.EBADF if given.attr_set & mount.MOUNT_ATTR_IDMAP else errnos.EFAULT

    return FakeProber(answer)


def ask(prober: FakeProber, name: str) -> dict[str, Support]:
    field: Field = FIELDS[name]
    results = ENTRY.recipe.ask_flags(prober, field, field.flags, 32)
    return {flag.name: result.accepted for flag, result in results.items()}


def test_root_is_told_of_every_flag() -> None:
    for name in ("attr_set", "propagation", "at_flags"):
        assert set(ask(kernel(), name).values()) == {Support.YES}, name
    cleared = ask(kernel(), "attr_clr")
    assert [name for name, support in cleared.items() if support is not Support.YES] == ["MOUNT_ATTR_IDMAP"]


def test_a_flag_of_newer_kernels_is_refused() -> None:
    """Linux v5.12 has no MOUNT_ATTR_NOSYMFOLLOW."""
    found = ask(kernel(known=KNOWN & ~mount.MOUNT_ATTR_NOSYMFOLLOW), "attr_set")
    assert [name for name, support in found.items() if support is Support.NO] == ["MOUNT_ATTR_NOSYMFOLLOW"]


def test_without_privilege_only_the_argument_is_known() -> None:
    note = "needs CAP_SYS_ADMIN over the mount namespace"
    for name in ("at_flags", "attr_set", "attr_clr", "propagation"):
        (result,) = set(ENTRY.recipe.ask_flags(kernel(root=False), FIELDS[name], FIELDS[name].flags, 32).values())
        support, reason = (Support.YES, None) if name == "at_flags" else (Support.UNKNOWN, note)
        assert result == FlagResult(support, ProbeMethod.PROBE, errnos.EPERM, reason)


def test_a_signal_is_no_answer() -> None:
    assert set(ask(FakeProber(kill_caller), "at_flags").values()) == {Support.UNKNOWN}


@pytest.mark.parametrize("root", [True, False])
def test_questions_and_controls_are_answered(root: bool) -> None:
    prober = kernel(root=root)
    assert ENTRY.recipe.ask_reach(prober).errno in ENTRY.recipe.reach_errnos
    assert prober.ask(ENTRY.recipe.second_call()).errno in ENTRY.recipe.second_errnos
    for control in ENTRY.recipe.controls(32):
        assert prober.ask(control.call).errno in control.expected, control.what


@pytest.mark.parametrize("size", [32, 40])
def test_the_size_is_found(size: int) -> None:
    assert ENTRY.recipe.ask_size(kernel(size=size), (32,)) == Size(size, ProbeMethod.E2BIG)
