# SPDX-License-Identifier: GPL-2.0-or-later
"""statmount(): by the mask of what the kernel supports, or else by what it filled for this namespace's root."""

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

from ..fake import FakeProber, Kernel, answer_with, kill_caller

ENTRY = table.entry("statmount")
PARAM = next(field for field in ENTRY.fields if field.name == "param")
FLAGS = ENTRY.fields[-1]
MOUNT = 1 << 31 | 5
NO_ANSWER = {(Support.UNKNOWN, ProbeMethod.SELF)}


def kernel(filled: int = 0x3F, supported: int | None = None, *, mounts: int = 1, size: int = 32) -> FakeProber:
    """Both system calls of the recipe, as fs/namespace.c does them."""

    def answer(call: Call) -> CallAnswer:
        request, out, room, flags = call.args
        assert isinstance(flags, int) and isinstance(out, Memory) and room is not None
        if flags:
            return answer_with(errnos.EINVAL, call)
        if request == BADPTR:
            return answer_with(errnos.EFAULT, call)
        assert isinstance(request, Memory)
        claimed = mount.mnt_id_req.from_buffer_copy(request.data[:32].ljust(32, b"\0"))
        if any(request.data[size : claimed.size]):
            return answer_with(errnos.E2BIG, call)
        if call.name == "listmount":
            assert claimed.mnt_id == mount.LSMT_ROOT
            return CallAnswer(0, mounts, (request.data, struct.pack("=Q", MOUNT)))
        if claimed.mnt_id != MOUNT:
            return answer_with(errnos.ENOENT, call)
        filled_in = mount.statmount(mask=filled & claimed.param)
        if supported is not None:
            filled_in.mask |= mount.STATMOUNT_SUPPORTED_MASK
            filled_in.supported_mask = supported
        return CallAnswer(0, 0, (request.data, bytes(filled_in).ljust(len(out.data), b"\0")))

    return FakeProber(answer)


def results(prober: FakeProber) -> dict[str, FlagResult]:
    found = ENTRY.recipe.ask_flags(prober, PARAM, PARAM.flags, 32)
    return {flag.name.removeprefix("STATMOUNT_"): result for flag, result in found.items()}


def ask(prober: FakeProber) -> dict[str, Support]:
    return {name: result.accepted for name, result in results(prober).items()}


def test_questions_and_controls_are_answered() -> None:
    prober = kernel()
    assert ENTRY.recipe.ask_reach(prober).errno in ENTRY.recipe.reach_errnos
    assert prober.ask(ENTRY.recipe.second_call()).errno in ENTRY.recipe.second_errnos
    for control in ENTRY.recipe.controls(32):
        assert prober.ask(control.call).errno in control.expected, control.what


def test_the_supported_mask_decides() -> None:
    found = ask(kernel(filled=0x1, supported=0x1FFF))
    assert found["FS_SUBTYPE"] is Support.YES
    assert found["MNT_UIDMAP"] is found["MNT_GIDMAP"] is Support.NO


def test_without_a_supported_mask_only_what_is_filled_is_known() -> None:
    found = ask(kernel(filled=0x1))
    assert found["SB_BASIC"] is Support.YES
    assert {support for name, support in found.items() if name != "SB_BASIC"} == {Support.UNKNOWN}


def test_without_a_mount_flags_are_unknown() -> None:
    prober = kernel(mounts=0)
    assert {(each.accepted, each.method) for each in results(prober).values()} == NO_ANSWER
    assert [call.name for call in prober.asked_calls] == ["listmount"]


@pytest.mark.parametrize(
    ("ending", "errno", "name"),
    [
        (kill_caller, None, "SIGSYS"),
        (lambda call: answer_with(errnos.ENOENT, call), errnos.ENOENT, "ENOENT"),
    ],
    ids=["signal", "errno"],
)
def test_without_an_answer_about_the_mount_flags_are_unknown(ending: Kernel, errno: int | None, name: str) -> None:
    """The mount may be gone since it was listed, and a filter may kill the caller."""
    whole = kernel().kernel
    prober = FakeProber(lambda call: whole(call) if call.name == "listmount" else ending(call))
    assert {(each.accepted, each.method) for each in results(prober).values()} == NO_ANSWER
    notes = {(each.errno, each.note) for each in results(prober).values()}
    assert notes == {(errno, f"statmount(2) of a mount answers {name}")}


def test_flags_of_the_argument_are_asked_like_any_others() -> None:
    (flag,) = FLAGS.flags
    assert ENTRY.recipe.ask_flags(kernel(), FLAGS, [flag], 32)[flag].accepted is Support.NO


@pytest.mark.parametrize("size", [24, 32, 40])
def test_the_size_is_found(size: int) -> None:
    assert ENTRY.recipe.ask_size(kernel(size=size), ENTRY.recipe.sizes) == Size(size, ProbeMethod.E2BIG)


def test_the_room_for_an_answer_holds_the_struct() -> None:
    assert ctypes.sizeof(mount.statmount) <= mount.STATMOUNT_ROOM
