# SPDX-License-Identifier: GPL-2.0-or-later
"""mount_setattr(2)."""

from __future__ import annotations

import errno as errnos
from collections.abc import Sequence

from kprobe_tool.native import mount
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
    flags_since,
)
from kprobe_tool.probes.extensible_structs.recipe import Control, Recipe, SyscallEntry, page

AT_FLAGS = flags_since(
    "5.12",
    {
        "AT_SYMLINK_NOFOLLOW": mount.AT_SYMLINK_NOFOLLOW,
        "AT_NO_AUTOMOUNT": mount.AT_NO_AUTOMOUNT,
        "AT_EMPTY_PATH": mount.AT_EMPTY_PATH,
        "AT_RECURSIVE": mount.AT_RECURSIVE,
    },
)
RESTRICTIONS = (
    Flag("MOUNT_ATTR_RDONLY", mount.MOUNT_ATTR_RDONLY, "5.12"),
    Flag("MOUNT_ATTR_NOSUID", mount.MOUNT_ATTR_NOSUID, "5.12"),
    Flag("MOUNT_ATTR_NODEV", mount.MOUNT_ATTR_NODEV, "5.12"),
    Flag("MOUNT_ATTR_NOEXEC", mount.MOUNT_ATTR_NOEXEC, "5.12"),
)
NODIRATIME = Flag("MOUNT_ATTR_NODIRATIME", mount.MOUNT_ATTR_NODIRATIME, "5.12")
IDMAP = Flag("MOUNT_ATTR_IDMAP", mount.MOUNT_ATTR_IDMAP, "5.12")
NOSYMFOLLOW = Flag("MOUNT_ATTR_NOSYMFOLLOW", mount.MOUNT_ATTR_NOSYMFOLLOW, "5.14")
ATTR_SET = (
    *RESTRICTIONS,
    Flag("MOUNT_ATTR_NOATIME", mount.MOUNT_ATTR_NOATIME, "5.12"),
    Flag("MOUNT_ATTR_STRICTATIME", mount.MOUNT_ATTR_STRICTATIME, "5.12"),
    NODIRATIME,
    IDMAP,
    NOSYMFOLLOW,
)
# The three bits of the atime value can only be cleared together.
ATTR_CLR = (
    *RESTRICTIONS,
    Flag("MOUNT_ATTR__ATIME", mount.MOUNT_ATTR__ATIME, "5.12"),
    NODIRATIME,
    IDMAP._replace(always_refused=True),
    NOSYMFOLLOW,
)
PROPAGATION = flags_since(
    "5.12",
    {
        "MS_UNBINDABLE": mount.MS_UNBINDABLE,
        "MS_PRIVATE": mount.MS_PRIVATE,
        "MS_SLAVE": mount.MS_SLAVE,
        "MS_SHARED": mount.MS_SHARED,
    },
)


class MountSetattr(Recipe):
    """mount_setattr(-1, BADPTR, at_flags, &attr, 32), ``attr`` never all zero, which would be a success.

    The path is read last. at_flags and the size's bounds are judged before privileges, the masks after: without
    CAP_SYS_ADMIN in the mount namespace they stay unknown. An idmap needs a user namespace, and its file descriptor
    is judged (EBADF) after the bit.
    """

    first_size = mount.MOUNT_ATTR_SIZE_VER0
    accepted = frozenset({errnos.EFAULT, errnos.EBADF})
    inside_errnos = accepted | {errnos.EINVAL}

    def ask_reach(self, prober: Prober) -> CallAnswer:
        return prober.ask(mount.mount_setattr(usize=0))

    def second_call(self) -> Call:
        return mount.mount_setattr(usize=2 * PAGE_SIZE)

    def check_fields_call(self, fill: bytes, usize: int) -> Call:
        return mount.mount_setattr(fill, usize=usize)

    def oversized_call(self, place: int) -> Call:
        # All bits of attr_set: invalid in any version.
        return mount.mount_setattr(page(place, b"\xff" * 8))

    def controls(self, size: int) -> Sequence[Control]:
        return (
            Control(
                mount.mount_setattr(attr_set=mount.MOUNT_ATTR_RDONLY),
                self.accepted | {errnos.EPERM},
                "a bad path",
            ),
            Control(mount.mount_setattr(attr_set=1 << 63), self.refused | {errnos.EPERM}, "unknown attr_set bit 63"),
            Control(
                mount.mount_setattr(attr_set=mount.MOUNT_ATTR_RDONLY, at_flags=1 << 30),
                self.refused,
                "unknown at_flags bit 30",
            ),
        )

    def flag_call(self, field: Field, bits: int, size: int) -> Call:
        if field.name == "at_flags":
            return mount.mount_setattr(attr_set=mount.MOUNT_ATTR_RDONLY, at_flags=bits)
        if field.name == "attr_set":
            clear = mount.MOUNT_ATTR__ATIME if bits & mount.MOUNT_ATTR__ATIME else 0
            return mount.mount_setattr(attr_set=bits, attr_clr=clear)
        if field.name == "attr_clr":
            return mount.mount_setattr(attr_clr=bits)
        return mount.mount_setattr(propagation=bits)

    def judge(self, field: Field, bits: int, answer: CallAnswer) -> FlagResult:
        if answer.signal is None and answer.errno == errnos.EPERM:
            if field.name == "at_flags":
                return FlagResult(Support.YES, ProbeMethod.PROBE, answer.errno)
            return FlagResult(
                Support.UNKNOWN,
                ProbeMethod.PROBE,
                answer.errno,
                "needs CAP_SYS_ADMIN over the mount namespace",
            )
        return super().judge(field, bits, answer)


ENTRY = SyscallEntry(
    name="mount_setattr",
    struct="mount_attr",
    since="5.12",
    fields=(
        *fields(
            mount.MOUNT_ATTR_LAYOUT,
            "5.12",
            {
                "attr_set": FieldFacts("5.12", ATTR_SET, "0x40 is in the mask, but no atime setting uses it"),
                "attr_clr": FieldFacts(
                    "5.12", ATTR_CLR, "MOUNT_ATTR_IDMAP is in the mask, but only open_tree_attr(2) clears it"
                ),
                "propagation": FieldFacts("5.12", PROPAGATION),
            },
        ),
        Field("at_flags", None, 4, "5.12", AT_FLAGS, "an argument, not in the struct"),
    ),
    recipe=MountSetattr(),
)
