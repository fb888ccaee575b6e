# SPDX-License-Identifier: GPL-2.0-or-later
"""file_setattr(2)."""

from __future__ import annotations

from collections.abc import Sequence

from kprobe_tool.native import fileattr
from kprobe_tool.native.mount import AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW
from kprobe_tool.native.prober import Call, CallAnswer, Prober
from kprobe_tool.native.syscall import PAGE_SIZE
from kprobe_tool.probes.extensible_structs.model import Field, FieldFacts, Flag, fields, flags_since
from kprobe_tool.probes.extensible_structs.recipe import Control, Recipe, SyscallEntry, page

XFLAGS = (
    Flag("FS_XFLAG_REALTIME", 0x00000001, "6.17"),
    Flag("FS_XFLAG_PREALLOC", 0x00000002, "6.17"),
    Flag("FS_XFLAG_IMMUTABLE", 0x00000008, "6.17"),
    Flag("FS_XFLAG_APPEND", 0x00000010, "6.17"),
    Flag("FS_XFLAG_SYNC", 0x00000020, "6.17"),
    Flag("FS_XFLAG_NOATIME", 0x00000040, "6.17"),
    Flag("FS_XFLAG_NODUMP", 0x00000080, "6.17"),
    Flag("FS_XFLAG_RTINHERIT", 0x00000100, "6.17"),
    Flag("FS_XFLAG_PROJINHERIT", 0x00000200, "6.17"),
    Flag("FS_XFLAG_NOSYMLINKS", 0x00000400, "6.17"),
    Flag("FS_XFLAG_EXTSIZE", 0x00000800, "6.17"),
    Flag("FS_XFLAG_EXTSZINHERIT", 0x00001000, "6.17"),
    Flag("FS_XFLAG_NODEFRAG", 0x00002000, "6.17"),
    Flag("FS_XFLAG_FILESTREAM", 0x00004000, "6.17"),
    Flag("FS_XFLAG_DAX", 0x00008000, "6.17"),
    Flag("FS_XFLAG_COWEXTSIZE", 0x00010000, "6.17"),
    Flag("FS_XFLAG_VERITY", 0x00020000, "7.0"),
    Flag("FS_XFLAG_CASEFOLD", 0x00040000, "7.2"),
    Flag("FS_XFLAG_CASENONPRESERVING", 0x00080000, "7.2"),
    Flag("FS_XFLAG_HASATTR", 0x80000000, "6.17"),
)
AT_FLAGS = flags_since("6.17", {"AT_SYMLINK_NOFOLLOW": AT_SYMLINK_NOFOLLOW, "AT_EMPTY_PATH": AT_EMPTY_PATH})


class FileSetattr(Recipe):
    """file_setattr(-1, BADPTR, &attr, 24, at_flags): the path is read after the flags were judged."""

    first_size = fileattr.SIZE_VER0

    def ask_reach(self, prober: Prober) -> CallAnswer:
        return prober.ask(fileattr.file_setattr(usize=0))

    def second_call(self) -> Call:
        return fileattr.file_setattr(usize=2 * PAGE_SIZE)

    def check_fields_call(self, fill: bytes, usize: int) -> Call:
        return fileattr.file_setattr(fill, usize=usize)

    def oversized_call(self, place: int) -> Call:
        # All bits of fa_xflags: invalid in any version.
        return fileattr.file_setattr(page(place, b"\xff" * 8))

    def controls(self, size: int) -> Sequence[Control]:
        return (
            Control(fileattr.file_setattr(), self.accepted, "a bad path"),
            Control(fileattr.file_setattr(xflags=1 << 63), self.refused, "unknown fa_xflags bit 63"),
        )

    def flag_call(self, field: Field, bits: int, size: int) -> Call:
        return (
            fileattr.file_setattr(at_flags=bits) if field.name == "at_flags" else fileattr.file_setattr(xflags=bits)
        )


ENTRY = SyscallEntry(
    name="file_setattr",
    struct="file_attr",
    since="6.17",
    fields=(
        *fields(fileattr.LAYOUT, "6.17", {"fa_xflags": FieldFacts("6.17", XFLAGS)}),
        Field("at_flags", None, 4, "6.17", AT_FLAGS, "an argument, not in the struct"),
    ),
    recipe=FileSetattr(),
)
