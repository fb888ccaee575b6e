# SPDX-License-Identifier: GPL-2.0-or-later
"""PIDFD_GET_INFO: by the mask of what the kernel supports or, where it has none, by what it filled."""

from __future__ import annotations

import ctypes
import errno as errnos
import os

from kprobe_tool.native import pidfd
from kprobe_tool.native.prober import Call, CallAnswer, Memory
from kprobe_tool.probes.extensible_structs import table
from kprobe_tool.probes.extensible_structs.model import ProbeMethod, Size, Support

from ..fake import FakeProber, answer_with, kill_caller

ENTRY = table.entry("PIDFD_GET_INFO")
MASK = ENTRY.fields[0]
PIDFD = 7


def kernel(filled: int, supported: int | None = None, errno: int = 0) -> FakeProber:
    """As fs/pidfs.c does it: ``filled`` bits of the mask are answered, and the supported mask if there is one."""

    def answer(call: Call) -> CallAnswer:
        if call.name == "pidfd_open":
            assert call.args == (os.getpid(), 0)
            return CallAnswer(0, PIDFD, ())
        fd, _, memory = call.args
        assert isinstance(memory, Memory)
        if fd != PIDFD:
            return answer_with(errnos.EBADF, call)
        if errno:
            return answer_with(errno, call)
        info = pidfd.pidfd_info.from_buffer_copy(memory.data.ljust(ctypes.sizeof(pidfd.pidfd_info), b"\0"))
        wanted = info.mask
        info.mask = filled & wanted
        if supported is not None and wanted & pidfd.PIDFD_INFO_SUPPORTED_MASK:
            info.mask |= pidfd.PIDFD_INFO_SUPPORTED_MASK
            info.supported_mask = supported
        return answer_with(0, call, bytes(info))

    return FakeProber(answer)


def ask(prober: FakeProber) -> dict[str, Support]:
    results = ENTRY.recipe.ask_flags(prober, MASK, MASK.flags, 64)
    return {flag.name.removeprefix("PIDFD_INFO_"): result.accepted for flag, result in results.items()}


def test_the_ioctl_is_there_or_absent() -> None:
    prober = kernel(0x7)
    assert ENTRY.recipe.ask_reach(prober).errno in ENTRY.recipe.reach_errnos
    assert prober.ask(ENTRY.recipe.second_call()).errno in ENTRY.recipe.second_errnos
    assert ENTRY.recipe.ask_reach(kernel(0, errno=errnos.ENOTTY)).errno in ENTRY.recipe.absent_errnos
    none = FakeProber(lambda call: answer_with(errnos.ENOSYS, call))
    assert ENTRY.recipe.ask_reach(none).errno == errnos.ENOSYS
    assert [call.name for call in none.asked_calls] == ["pidfd_open"]


def test_the_supported_mask_decides() -> None:
    found = ask(kernel(0x7, supported=0x67))
    assert {name for name, support in found.items() if support is Support.YES} == {
        "PID",
        "CREDS",
        "CGROUPID",
        "SUPPORTED_MASK",
        "COREDUMP_SIGNAL",
    }
    assert {found["EXIT"], found["COREDUMP"], found["COREDUMP_CODE"]} == {Support.NO}


def test_without_a_supported_mask_only_what_is_filled_is_known() -> None:
    found = ask(kernel(0x7))
    assert {name for name, support in found.items() if support is Support.YES} == {"PID", "CREDS", "CGROUPID"}
    assert found["EXIT"] is Support.UNKNOWN


def test_without_an_answer_flags_are_unknown() -> None:
    for prober in (kernel(0x7, errno=errnos.EINVAL), FakeProber(kill_caller)):
        results = ENTRY.recipe.ask_flags(prober, MASK, MASK.flags, 64).values()
        assert {(result.accepted, result.method) for result in results} == {(Support.UNKNOWN, ProbeMethod.SELF)}


def test_no_size_is_found() -> None:
    assert ENTRY.recipe.ask_size(kernel(0x7), (64, 80)) == Size()
