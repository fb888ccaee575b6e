# SPDX-License-Identifier: GPL-2.0-or-later
"""openat2(2)."""

from __future__ import annotations

import errno as errnos
from collections.abc import Mapping, Sequence
from typing import ClassVar

from kprobe_tool.native import openat2
from kprobe_tool.native.prober import Call, CallAnswer, Prober
from kprobe_tool.probes.extensible_structs.model import (
    Field,
    FieldFacts,
    Flag,
    FlagResult,
    ProbeMethod,
    Support,
    fields,
    flags_since,
)
from kprobe_tool.probes.extensible_structs.recipe import Control, Recipe, SyscallEntry, killed_result, page

O = openat2.O_FLAGS  # noqa: E741
# __O_TMPFILE wants a directory that is written to; others are tried with what they could want.
TRIED_WITH = {"__O_TMPFILE": (O["O_RDWR"] | O["O_DIRECTORY"],)}
UNNAMED_TRIED_WITH = (O["O_RDWR"] | O["O_DIRECTORY"], O["O_PATH"], O["O_RDWR"] | O["O_CREAT"])

FLAGS = (
    *(Flag(name, value, "5.6", TRIED_WITH.get(name, ())) for name, value in O.items()),
    Flag("O_EMPTYPATH", openat2.O_EMPTYPATH, "7.2"),
    Flag("OPENAT2_REGULAR", openat2.OPENAT2_REGULAR, "7.2"),
)
MODE = flags_since(
    "5.6",
    {
        "S_ISUID": 0o4000,
        "S_ISGID": 0o2000,
        "S_ISVTX": 0o1000,
        "S_IRUSR": 0o400,
        "S_IWUSR": 0o200,
        "S_IXUSR": 0o100,
        "S_IRGRP": 0o040,
        "S_IWGRP": 0o020,
        "S_IXGRP": 0o010,
        "S_IROTH": 0o004,
        "S_IWOTH": 0o002,
        "S_IXOTH": 0o001,
    },
)
RESOLVE = (
    Flag("RESOLVE_NO_XDEV", openat2.RESOLVE_NO_XDEV, "5.6"),
    Flag("RESOLVE_NO_MAGICLINKS", openat2.RESOLVE_NO_MAGICLINKS, "5.6"),
    Flag("RESOLVE_NO_SYMLINKS", openat2.RESOLVE_NO_SYMLINKS, "5.6"),
    Flag("RESOLVE_BENEATH", openat2.RESOLVE_BENEATH, "5.6"),
    Flag("RESOLVE_IN_ROOT", openat2.RESOLVE_IN_ROOT, "5.6"),
    Flag("RESOLVE_CACHED", openat2.RESOLVE_CACHED, "5.12"),
)


class Openat2(Recipe):
    """openat2(-1, BADPTR, &how, 24): the path is read after all of ``how`` was judged, and nothing is looked up.

    EMFILE and ENFILE come after the judgement too.
    """

    first_size = openat2.SIZE_VER0
    accepted = frozenset({errnos.EFAULT, errnos.EMFILE, errnos.ENFILE})
    second_errnos = accepted
    inside_errnos = accepted | {errnos.EINVAL}
    unnamed_tried_with: ClassVar[Mapping[str, tuple[int, ...]]] = {"flags": UNNAMED_TRIED_WITH}

    def ask_reach(self, prober: Prober) -> CallAnswer:
        return prober.ask(openat2.openat2(usize=0))

    def second_call(self) -> Call:
        return openat2.openat2()

    def check_fields_call(self, fill: bytes, usize: int) -> Call:
        return openat2.openat2(fill, usize=usize)

    def oversized_call(self, place: int) -> Call:
        return openat2.openat2(page(place))

    def controls(self, size: int) -> Sequence[Control]:
        return (
            Control(openat2.openat2(), self.accepted, "a bad path"),
            Control(openat2.openat2(flags=1 << 63), self.refused, "unknown flag bit 63"),
        )

    def flag_call(self, field: Field, bits: int, size: int) -> Call:
        if field.name == "flags":
            return openat2.openat2(flags=bits)
        if field.name == "mode":
            return openat2.openat2(flags=O["O_RDWR"] | O["O_CREAT"], mode=bits)
        return openat2.openat2(resolve=bits)

    def ask_flag(self, prober: Prober, field: Field, flag: Flag, size: int) -> FlagResult:
        result = super().ask_flag(prober, field, flag, size)
        if field.name == "flags" and flag.value == openat2.O_EMPTYPATH and result.accepted is Support.YES:
            return self.empty_path(prober, result)
        return result

    def empty_path(self, prober: Prober, result: FlagResult) -> FlagResult:
        """Bit 26 passes on two kinds of kernels.

        Up to Linux v6.12 or later it is the internal FMODE_NONOTIFY, which build_open_flags() strips before it looks
        for unknown flags; since v7.2 it is O_EMPTYPATH. An empty path is ENOENT without that flag and EBADF with it,
        where the directory is -1: nothing is opened either way.
        """
        answer = prober.ask(openat2.openat2(flags=O["O_PATH"] | openat2.O_EMPTYPATH, path=b""))
        if answer.signal is None and answer.errno == errnos.EBADF:
            return FlagResult(Support.YES, ProbeMethod.PROBE, answer.errno)
        if answer.signal is None and answer.errno == errnos.ENOENT:
            return FlagResult(
                Support.IGNORED,
                ProbeMethod.PROBE,
                answer.errno,
                "the kernel drops this bit before it looks for unknown flags",
            )
        return killed_result(answer) or FlagResult(
            Support.UNKNOWN,
            ProbeMethod.PROBE,
            answer.errno,
            "the answer to an empty path does not show whether the kernel knows it",
        )

    def ask_flags(self, prober: Prober, field: Field, flags: Sequence[Flag], size: int) -> dict[Flag, FlagResult]:
        if field.name == "mode" and len(flags) > 1:
            # One call for all: the mode is judged by its mask only, so that what passes together passes alone.
            together = 0
            for flag in flags:
                together |= flag.value
            result = self.judge(field, together, prober.ask(self.flag_call(field, together, size)))
            if result.accepted is Support.YES:
                return dict.fromkeys(flags, result)
        return super().ask_flags(prober, field, flags, size)


ENTRY = SyscallEntry(
    name="openat2",
    struct="open_how",
    since="5.6",
    fields=fields(
        openat2.LAYOUT,
        "5.6",
        {"flags": FieldFacts("5.6", FLAGS), "mode": FieldFacts("5.6", MODE), "resolve": FieldFacts("5.6", RESOLVE)},
    ),
    recipe=Openat2(),
)
