# SPDX-License-Identifier: GPL-2.0-or-later
"""sched_setattr(2)."""

from __future__ import annotations

import errno as errnos
from collections.abc import Sequence

from kprobe_tool.native import sched_types
from kprobe_tool.native.prober import Call, CallAnswer, Prober
from kprobe_tool.probes.extensible_structs.model import (
    Field,
    FieldFacts,
    Flag,
    FlagResult,
    ProbeMethod,
    Size,
    Support,
    fields,
)
from kprobe_tool.probes.extensible_structs.recipe import (
    Control,
    Recipe,
    SyscallEntry,
    killed_result,
    size_written_back,
)

KEEP = sched_types.SCHED_FLAG_KEEP_POLICY | sched_types.SCHED_FLAG_KEEP_PARAMS
CLAMP = sched_types.SCHED_FLAG_UTIL_CLAMP_MIN | sched_types.SCHED_FLAG_UTIL_CLAMP_MAX

FLAGS = (
    Flag("SCHED_FLAG_RESET_ON_FORK", 0x01, "3.14"),
    Flag("SCHED_FLAG_RECLAIM", 0x02, "4.13"),
    Flag("SCHED_FLAG_DL_OVERRUN", 0x04, "4.16"),
    Flag("SCHED_FLAG_KEEP_POLICY", sched_types.SCHED_FLAG_KEEP_POLICY, "5.3"),
    Flag("SCHED_FLAG_KEEP_PARAMS", sched_types.SCHED_FLAG_KEEP_PARAMS, "5.3"),
    Flag("SCHED_FLAG_UTIL_CLAMP_MIN", sched_types.SCHED_FLAG_UTIL_CLAMP_MIN, "5.3"),
    Flag("SCHED_FLAG_UTIL_CLAMP_MAX", sched_types.SCHED_FLAG_UTIL_CLAMP_MAX, "5.3"),
)


class SchedSetattr(Recipe):
    """sched_setattr(0, ...) of the prober's child, told to keep its policy and parameters: nothing changes.

    A clamp would, and a valid one switches utilization clamping on for the whole machine, so those two flags get an
    invalid value: EINVAL where they are built in (the struct has their fields since they exist), EOPNOTSUPP where
    they are not.
    """

    first_size = sched_types.SIZE_VER0
    accepted = frozenset({0})

    def ask_reach(self, prober: Prober) -> CallAnswer:
        return prober.ask(sched_types.sched_setattr_without_attr())

    def second_call(self) -> Call:
        return sched_types.sched_setattr(1)

    def ask_size(self, prober: Prober, guesses: Sequence[int]) -> Size:
        return size_written_back(prober.ask(sched_types.sched_setattr(1)), sched_types.size_of, self.first_size)

    def controls(self, size: int) -> Sequence[Control]:
        return (
            Control(
                sched_types.sched_setattr(sched_types.SIZE_VER0, KEEP), self.accepted, "flags that keep everything"
            ),
            Control(
                sched_types.sched_setattr(sched_types.SIZE_VER0, KEEP | 1 << 62), self.refused, "unknown flag bit 62"
            ),
        )

    def flag_call(self, field: Field, bits: int, size: int) -> Call:
        return sched_types.sched_setattr(min(size, sched_types.SIZE_VER1), KEEP | bits)

    def judge(self, field: Field, bits: int, answer: CallAnswer) -> FlagResult:
        if not bits & CLAMP:
            return super().judge(field, bits, answer)
        if answer.signal is None and answer.errno == errnos.EOPNOTSUPP:
            return FlagResult(
                Support.NO,
                ProbeMethod.PROBE,
                answer.errno,
                "known, but this kernel is built without it",
                in_mask=Support.YES,
            )
        if answer.signal is None and answer.errno == errnos.EINVAL:
            return FlagResult(Support.YES, ProbeMethod.PROBE, answer.errno, "its value was refused, not the flag")
        return killed_result(answer) or FlagResult(Support.UNKNOWN, ProbeMethod.PROBE, answer.errno)

    def ask_flag(self, prober: Prober, field: Field, flag: Flag, size: int) -> FlagResult:
        if flag.value & CLAMP and size < sched_types.SIZE_VER1:
            return FlagResult(Support.NO, ProbeMethod.SIZE)
        return super().ask_flag(prober, field, flag, size)


ENTRY = SyscallEntry(
    name="sched_setattr",
    struct="sched_attr",
    since="3.14",
    fields=fields(
        sched_types.LAYOUT,
        "3.14",
        {"sched_flags": FieldFacts("3.14", FLAGS), "sched_util_min": "5.3", "sched_util_max": "5.3"},
    ),
    recipe=SchedSetattr(),
)
