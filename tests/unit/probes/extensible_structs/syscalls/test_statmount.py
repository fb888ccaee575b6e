# SPDX-License-Identifier: GPL-2.0-or-later
"""statmount(): the kernel's mask of what it knows, or else what it filled for the root of this namespace."""

from __future__ import annotations

import ctypes
import errno as errnos
import struct

import pytest

from kprobe_tool.native import mount
from kprobe_tool.native.prober import Call, CallAnswer, Memory
from kprobe_tool.native.syscall import BADPTR
from kprobe_tool.probes.extensible_structs import table
from kprobe_tool.probes.extensible_structs.model import FlagResult, ProbeMethod, Size, Support

from ..fake import FakeProber, Kernel, killed, says

ENTRY = table.entry("statmount")
PARAM = next(field for field in ENTRY.fields if field.name == "param")
FLAGS = ENTRY.fields[-1]
MOUNT = 1 << 31 | 5
NO_ANSWER = {(Support.UNKNOWN, ProbeMethod.SELF)}


def kernel(filled: int = 0x3F, supported: int | None = None, *, mounts: int = 1, size: int = 32) -> FakeProber:
    """fs/namespace.c, of both system calls that the recipe makes."""

    def answer(call: Call) -> CallAnswer:
        request, out, room, flags = call.args
        assert isinstance(flags, int) and isinstance(out, Memory) and room is not None
        if flags:
            return says(errnos.EINVAL, call)
        if request == BADPTR:
            return says(errnos.EFAULT, call)
        assert isinstance(request, Memory)
        claimed = mount.mnt_id_req.from_buffer_copy(request.data[:32].ljust(32, b"\0"))
        if any(request.data[size : claimed.size]):
            return says(errnos.E2BIG, call)
        if call.name == "listmount":
            assert claimed.mnt_id == mount.LSMT_ROOT
            return CallAnswer(0, mounts, (request.data, struct.pack("=Q", MOUNT)))
        if claimed.mnt_id != MOUNT:
            return says(errnos.ENOENT, call)
        told = mount.statmount(mask=filled & claimed.param)
        if supported is not None:
            told.mask |= mount.STATMOUNT_SUPPORTED_MASK
            told.supported_mask = supported
        return CallAnswer(0, 0, (request.data, bytes(told).ljust(len(out.data), b"\0")))

    return FakeProber(answer)


def results(prober: FakeProber) -> dict[str, FlagResult]:
    found = ENTRY.recipe.ask_flags(prober, PARAM, PARAM.flags, 32)
    return {flag.name.removeprefix("STATMOUNT_"): result for flag, result in found.items()}


def ask(prober: FakeProber) -> dict[str, Support]:
    return {name: result.accepted for name, result in results(prober).items()}


def test_reach_and_controls() -> None:
    prober = kernel()
    assert ENTRY.recipe.ask_reach(prober).errno in ENTRY.recipe.reach_errnos
    assert prober.ask(ENTRY.recipe.second_call()).errno in ENTRY.recipe.second_errnos
    for control in ENTRY.recipe.controls(32):
        assert prober.ask(control.call).errno in control.expected, control.what


def test_the_mask_of_a_kernel_that_has_one_decides() -> None:
    found = ask(kernel(filled=0x1, supported=0x1FFF))
    assert found["FS_SUBTYPE"] is Support.YES
    assert found["MNT_UIDMAP"] is found["MNT_GIDMAP"] is Support.NO


def test_before_that_only_what_is_filled_is_known() -> None:
    found = ask(kernel(filled=0x1))
    assert found["SB_BASIC"] is Support.YES
    assert {support for name, support in found.items() if name != "SB_BASIC"} == {Support.UNKNOWN}


def test_no_mount_to_ask_about() -> None:
    prober = kernel(mounts=0)
    assert {(each.accepted, each.method) for each in results(prober).values()} == NO_ANSWER
    assert [call.name for call in prober.asked] == ["listmount"]


@pytest.mark.parametrize("ending", [killed, lambda call: says(errnos.ENOENT, call)], ids=["signal", "errno"])
def test_no_answer_about_the_mount(ending: Kernel) -> None:
    """The mount may have gone since it was listed, and a filter may end who asks."""
    whole = kernel().kernel
    prober = FakeProber(lambda call: whole(call) if call.name == "listmount" else ending(call))
    assert {(each.accepted, each.method) for each in results(prober).values()} == NO_ANSWER
    assert {each.note for each in results(prober).values()} == {None}


def test_flags_are_asked_for_like_any_others() -> None:
    (flag,) = FLAGS.flags
    assert ENTRY.recipe.ask_flags(kernel(), FLAGS, [flag], 32)[flag].accepted is Support.NO


@pytest.mark.parametrize("size", [24, 32, 40])
def test_size(size: int) -> None:
    assert ENTRY.recipe.ask_size(kernel(size=size), ENTRY.recipe.sizes) == Size(size, ProbeMethod.E2BIG)


def test_there_is_room_for_the_struct() -> None:
    assert ctypes.sizeof(mount.statmount) <= mount.STATMOUNT_ROOM
