# SPDX-License-Identifier: GPL-2.0-or-later
"""listmount(2)."""

from __future__ import annotations

from collections.abc import Sequence

from kprobe_tool.native import mount
from kprobe_tool.native.prober import Call, CallAnswer, Prober
from kprobe_tool.probes.extensible_structs.model import Field, Flag, fields
from kprobe_tool.probes.extensible_structs.recipe import Control, SyscallEntry
from kprobe_tool.probes.extensible_structs.syscalls.statmount import MntIdReq, request_page


class Listmount(MntIdReq):
    """listmount(BADPTR, ids, 1, flags)."""

    def ask_reach(self, prober: Prober) -> CallAnswer:
        return prober.ask(mount.listmount_call(None, -1))

    def second_call(self) -> Call:
        return mount.listmount_call(None)

    def oversized_call(self, place: int) -> Call:
        return mount.listmount_call(request_page(place))

    def controls(self, size: int) -> Sequence[Control]:
        return (
            Control(mount.listmount_call(None), self.accepted, "a bad pointer"),
            Control(mount.listmount_call(None, 1 << 30), self.refused, "unknown flags bit 30"),
        )

    def flag_call(self, field: Field, bits: int, size: int) -> Call:
        return mount.listmount_call(None, bits)


ENTRY = SyscallEntry(
    name="listmount",
    struct="mnt_id_req",
    since="6.8",
    fields=(
        *fields(mount.MNT_ID_REQ_LAYOUT, "6.8", {"mnt_ns_fd": "6.18", "mnt_ns_id": "6.11"}),
        Field("flags", None, 4, "6.8", (Flag("LISTMOUNT_REVERSE", 1, "6.11"),), "an argument, not in the struct"),
    ),
    recipe=Listmount(),
)
