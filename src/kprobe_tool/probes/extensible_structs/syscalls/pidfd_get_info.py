# SPDX-License-Identifier: GPL-2.0-or-later
"""The PIDFD_GET_INFO ioctl, which has the mask of all that it can answer among its answers."""

from __future__ import annotations

import errno as errnos
import os
from collections.abc import Sequence

from kprobe_tool.native import pidfd
from kprobe_tool.native.prober import Call, CallAnswer, Prober
from kprobe_tool.probes.extensible_structs.model import (
    Field,
    FieldFacts,
    Flag,
    FlagResult,
    Size,
    fields,
)
from kprobe_tool.probes.extensible_structs.recipe import Recipe, SyscallEntry, judge_masks, leave_unknown

MASK = (
    Flag("PIDFD_INFO_PID", 0x01, "6.13"),
    Flag("PIDFD_INFO_CREDS", 0x02, "6.13"),
    Flag("PIDFD_INFO_CGROUPID", 0x04, "6.13"),
    Flag("PIDFD_INFO_EXIT", 0x08, "6.15"),
    Flag("PIDFD_INFO_COREDUMP", 0x10, "6.16"),
    Flag("PIDFD_INFO_SUPPORTED_MASK", pidfd.PIDFD_INFO_SUPPORTED_MASK, "6.19"),
    Flag("PIDFD_INFO_COREDUMP_SIGNAL", 0x40, "6.19"),
    Flag("PIDFD_INFO_COREDUMP_CODE", 0x80, "7.1"),
)
ROOM = pidfd.LAYOUT[-1].offset + pidfd.LAYOUT[-1].size


class PidfdGetInfo(Recipe):
    """Reads what is known of our own process. Bits that the kernel does not know are no error, so it is asked for
    its mask (Linux v6.19), and before that for everything: what comes back is known."""

    first_size = pidfd.SIZE_VER0
    reach_errnos = frozenset({0})
    absent_errnos = frozenset({errnos.ENOTTY, errnos.EINVAL})
    second_errnos = frozenset({errnos.EBADF})

    def ask_reach(self, prober: Prober) -> CallAnswer:
        opened = prober.ask(pidfd.pidfd_open(os.getpid()))
        if opened.signal is not None or opened.errno:
            return opened
        return prober.ask(pidfd.get_info(opened.value, pidfd.SIZE_VER0, 0))

    def second_call(self) -> Call:
        return pidfd.get_info(-1, pidfd.SIZE_VER0, 0)

    def ask_size(self, prober: Prober, guesses: Sequence[int]) -> Size:
        """The ioctl takes any size and names none."""
        return Size()

    def ask_flags(self, prober: Prober, field: Field, flags: Sequence[Flag], size: int) -> dict[Flag, FlagResult]:
        opened = prober.ask(pidfd.pidfd_open(os.getpid()))
        everything = sum(flag.value for flag in MASK)
        answer = prober.ask(pidfd.get_info(opened.value, ROOM, everything))
        if answer.signal is not None or answer.errno:
            return leave_unknown(flags, answer, "the ioctl with room for all fields")
        filled, supported = pidfd.masks(answer.memory[0])
        note = "not answered for a running process; the kernel may know it all the same"
        return judge_masks(flags, filled, supported if filled & pidfd.PIDFD_INFO_SUPPORTED_MASK else None, note)


ENTRY = SyscallEntry(
    name="PIDFD_GET_INFO",
    struct="pidfd_info",
    since="6.13",
    fields=fields(
        pidfd.LAYOUT,
        "6.13",
        {
            "mask": FieldFacts("6.13", MASK),
            "coredump_mask": "6.16",
            "coredump_signal": "6.19",
            "coredump_code": "7.1",
            "supported_mask": "6.19",
        },
    ),
    recipe=PidfdGetInfo(),
    symbols=("pidfd_open", "ioctl"),
)
