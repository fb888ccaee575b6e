# SPDX-License-Identifier: GPL-2.0-or-later
"""landlock_create_ruleset(2), which tells its ABI number: that is asked, and no ruleset is made."""

from __future__ import annotations

import errno as errnos
from collections.abc import Mapping, Sequence
from typing import ClassVar

from kprobe_tool.native import host, landlock
from kprobe_tool.native.prober import Call, CallAnswer, Prober
from kprobe_tool.native.syscall import PAGE_SIZE
from kprobe_tool.probes.extensible_structs.model import (
    Field,
    FieldFacts,
    Flag,
    FlagResult,
    ProbeMethod,
    Support,
    fields,
)
from kprobe_tool.probes.extensible_structs.recipe import Recipe, SyscallEntry, page

RELEASES = ("5.13", "5.19", "6.2", "6.7", "6.10", "6.12", "6.15", "7.0", "7.1", "7.2", "7.3")
"""The releases that brought ABI 1, 2, and so on."""

FS = (
    ("EXECUTE", 1),
    ("WRITE_FILE", 1),
    ("READ_FILE", 1),
    ("READ_DIR", 1),
    ("REMOVE_DIR", 1),
    ("REMOVE_FILE", 1),
    ("MAKE_CHAR", 1),
    ("MAKE_DIR", 1),
    ("MAKE_REG", 1),
    ("MAKE_SOCK", 1),
    ("MAKE_FIFO", 1),
    ("MAKE_BLOCK", 1),
    ("MAKE_SYM", 1),
    ("REFER", 2),
    ("TRUNCATE", 3),
    ("IOCTL_DEV", 5),
    ("RESOLVE_UNIX", 9),
)
NET = (("BIND_TCP", 4), ("CONNECT_TCP", 4), ("BIND_UDP", 10), ("CONNECT_SEND_UDP", 10))
SCOPE = (("ABSTRACT_UNIX_SOCKET", 6), ("SIGNAL", 6))


def bits(prefix: str, rows: Sequence[tuple[str, int]]) -> tuple[Flag, ...]:
    """Rights by bit number, each since the release that brought its ABI."""
    return tuple(Flag(prefix + name, 1 << bit, RELEASES[abi - 1]) for bit, (name, abi) in enumerate(rows))


class Landlock(Recipe):
    """The ABI number says which rights there are. A probe of single rights would make rulesets."""

    first_size = landlock.SIZE_VER0
    sizes = (48, 24, 16)
    disabled_errnos: ClassVar[Mapping[int, str]] = {
        errnos.EOPNOTSUPP: "Landlock is built in, but not enabled at boot: 'lsm=' has no landlock"
    }

    def ask_reach(self, prober: Prober) -> CallAnswer:
        return prober.ask(landlock.create_ruleset(bytes(PAGE_SIZE), 0, flags=1 << 31))

    def is_disabled(self) -> bool | None:
        modules = host.read_line("/sys/kernel/security/lsm")
        return None if modules is None else "landlock" not in modules.split(",")

    def second_call(self) -> Call:
        return landlock.create_ruleset(bytes(landlock.SIZE_VER0), 2 * PAGE_SIZE)

    def check_fields_call(self, fill: bytes, usize: int) -> Call:
        return landlock.create_ruleset(fill, usize)

    def oversized_call(self, place: int) -> Call:
        # All rights: invalid as long as there are less than 64 of them.
        return landlock.create_ruleset(page(place, b"\xff" * 8), PAGE_SIZE)

    def ask_flags(self, prober: Prober, field: Field, flags: Sequence[Flag], size: int) -> dict[Flag, FlagResult]:
        answer = prober.ask(landlock.version())
        if answer.signal is not None or answer.value < 1:
            return dict.fromkeys(
                flags,
                FlagResult(
                    Support.UNKNOWN,
                    ProbeMethod.SELF,
                    answer.errno,
                    "the kernel did not say which Landlock ABI it has",
                ),
            )
        releases = RELEASES[: answer.value]
        note = f"ABI {answer.value}"
        results = {}
        for flag in flags:
            # A bit without a name came with no ABI that is known here.
            if flag.since:
                support = Support.YES if flag.since in releases else Support.NO
                results[flag] = FlagResult(support, ProbeMethod.SELF, note=note, in_mask=support)
        return results


ENTRY = SyscallEntry(
    name="landlock_create_ruleset",
    struct="landlock_ruleset_attr",
    since="5.13",
    fields=fields(
        landlock.LAYOUT,
        "5.13",
        {
            "handled_access_fs": FieldFacts("5.13", bits("LANDLOCK_ACCESS_FS_", FS)),
            "handled_access_net": FieldFacts("6.7", bits("LANDLOCK_ACCESS_NET_", NET)),
            "scoped": FieldFacts("6.12", bits("LANDLOCK_SCOPE_", SCOPE)),
            "quiet_access_fs": "7.2",
            "quiet_access_net": "7.2",
            "quiet_scoped": "7.2",
        },
    ),
    recipe=Landlock(),
)
