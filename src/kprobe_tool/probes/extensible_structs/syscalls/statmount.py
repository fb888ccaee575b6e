# SPDX-License-Identifier: GPL-2.0-or-later
"""statmount(2), which has the mask of all that it can answer among its answers."""

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
    fields,
)
from kprobe_tool.probes.extensible_structs.recipe import (
    Control,
    Recipe,
    SyscallEntry,
    judge_masks,
    leave_unknown,
    page,
)

PARAM = (
    Flag("STATMOUNT_SB_BASIC", 0x0001, "6.8"),
    Flag("STATMOUNT_MNT_BASIC", 0x0002, "6.8"),
    Flag("STATMOUNT_PROPAGATE_FROM", 0x0004, "6.8"),
    Flag("STATMOUNT_MNT_ROOT", 0x0008, "6.8"),
    Flag("STATMOUNT_MNT_POINT", 0x0010, "6.8"),
    Flag("STATMOUNT_FS_TYPE", 0x0020, "6.8"),
    Flag("STATMOUNT_MNT_NS_ID", 0x0040, "6.11"),
    Flag("STATMOUNT_MNT_OPTS", 0x0080, "6.11"),
    Flag("STATMOUNT_FS_SUBTYPE", 0x0100, "6.13"),
    Flag("STATMOUNT_SB_SOURCE", 0x0200, "6.13"),
    Flag("STATMOUNT_OPT_ARRAY", 0x0400, "6.13"),
    Flag("STATMOUNT_OPT_SEC_ARRAY", 0x0800, "6.13"),
    Flag("STATMOUNT_SUPPORTED_MASK", mount.STATMOUNT_SUPPORTED_MASK, "6.15"),
    Flag("STATMOUNT_MNT_UIDMAP", 0x2000, "6.15"),
    Flag("STATMOUNT_MNT_GIDMAP", 0x4000, "6.15"),
)


def request_page(place: int) -> bytes:
    """A mnt_id_req that claims a page, for mount 0, which there never is."""
    return page(place, mount.mnt_id_req_head(PAGE_SIZE))


class MntIdReq(Recipe):
    """What statmount(2) and listmount(2) share: the flags are judged before the request is read at a bad pointer."""

    first_size = mount.MNT_ID_REQ_SIZE_VER0
    sizes = (32,)
    second_errnos = frozenset({errnos.EFAULT})
    inside_errnos = frozenset({errnos.EINVAL, errnos.ENOENT, errnos.EBADF, errnos.EPERM})


class Statmount(MntIdReq):
    """Bits of ``param`` that the kernel does not know are no error, so it is asked for its mask (Linux v6.15), and
    before that for everything: what comes back is known, what does not may only be missing on this mount."""

    def ask_reach(self, prober: Prober) -> CallAnswer:
        return prober.ask(mount.statmount_call(None, -1))

    def second_call(self) -> Call:
        return mount.statmount_call(None)

    def oversized_call(self, place: int) -> Call:
        return mount.statmount_call(request_page(place))

    def controls(self, size: int) -> Sequence[Control]:
        return (
            Control(mount.statmount_call(None), self.accepted, "a bad pointer"),
            Control(mount.statmount_call(None, 1 << 30), self.refused, "unknown flags bit 30"),
        )

    def flag_call(self, field: Field, bits: int, size: int) -> Call:
        return mount.statmount_call(None, bits)

    def ask_flags(self, prober: Prober, field: Field, flags: Sequence[Flag], size: int) -> dict[Flag, FlagResult]:
        if field.name != "param":
            return super().ask_flags(prober, field, flags, size)
        listed = prober.ask(mount.listmount_call(mount.mnt_id_request(mount.LSMT_ROOT)))
        if listed.signal is not None or listed.value < 1:
            return leave_unknown(flags, listed, "no mount to ask about: listmount(2)")
        everything = sum(flag.value for flag in PARAM)
        request = mount.mnt_id_request(mount.first_id(listed.memory[-1]), everything)
        answer = prober.ask(mount.statmount_call(request, room=mount.STATMOUNT_ROOM))
        if answer.signal is not None or answer.errno:
            return leave_unknown(flags, answer, "statmount(2) of a mount")
        filled, supported = mount.statmount_masks(answer.memory[-1])
        note = "not answered for this mount; the kernel may know it all the same"
        return judge_masks(flags, filled, supported if filled & mount.STATMOUNT_SUPPORTED_MASK else None, note)


ENTRY = SyscallEntry(
    name="statmount",
    struct="mnt_id_req",
    since="6.8",
    fields=(
        *fields(
            mount.MNT_ID_REQ_LAYOUT,
            "6.8",
            {"mnt_ns_fd": "6.18", "param": FieldFacts("6.8", PARAM), "mnt_ns_id": "6.11"},
        ),
        Field("flags", None, 4, "6.8", (Flag("STATMOUNT_BY_FD", 1, "7.0"),), "an argument, not in the struct"),
    ),
    recipe=Statmount(),
)
