# SPDX-License-Identifier: GPL-2.0-or-later
"""setxattrat(2)."""

from __future__ import annotations

from collections.abc import Sequence

from kprobe_tool.native import xattr
from kprobe_tool.native.mount import AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW
from kprobe_tool.native.prober import Call, CallAnswer, Prober
from kprobe_tool.native.syscall import PAGE_SIZE
from kprobe_tool.probes.extensible_structs.model import Field, FieldFacts, fields, flags_since
from kprobe_tool.probes.extensible_structs.recipe import Control, Recipe, SyscallEntry, page

FLAGS = flags_since("6.13", {"XATTR_CREATE": xattr.XATTR_CREATE, "XATTR_REPLACE": xattr.XATTR_REPLACE})
AT_FLAGS = flags_since("6.13", {"AT_SYMLINK_NOFOLLOW": AT_SYMLINK_NOFOLLOW, "AT_EMPTY_PATH": AT_EMPTY_PATH})


class Setxattrat(Recipe):
    """setxattrat(-1, BADPTR, at_flags, BADPTR, &args, 16): the name is read after both flags were judged."""

    first_size = xattr.SIZE_VER0

    def ask_reach(self, prober: Prober) -> CallAnswer:
        return prober.ask(xattr.setxattrat(usize=0))

    def second_call(self) -> Call:
        return xattr.setxattrat(usize=2 * PAGE_SIZE)

    def check_fields_call(self, fill: bytes, usize: int) -> Call:
        return xattr.setxattrat(fill, usize=usize)

    def oversized_call(self, place: int) -> Call:
        # All bits of flags, at 12: invalid in any version.
        return xattr.setxattrat(page(place, bytes(12) + b"\xff" * 4))

    def controls(self, size: int) -> Sequence[Control]:
        return (
            Control(xattr.setxattrat(), self.accepted, "a bad name"),
            Control(xattr.setxattrat(flags=1 << 30), self.refused, "unknown flags bit 30"),
        )

    def flag_call(self, field: Field, bits: int, size: int) -> Call:
        return xattr.setxattrat(at_flags=bits) if field.name == "at_flags" else xattr.setxattrat(flags=bits)


ENTRY = SyscallEntry(
    name="setxattrat",
    struct="xattr_args",
    since="6.13",
    fields=(
        *fields(xattr.LAYOUT, "6.13", {"flags": FieldFacts("6.13", FLAGS)}),
        Field("at_flags", None, 4, "6.13", AT_FLAGS, "an argument, not in the struct"),
    ),
    recipe=Setxattrat(),
)
