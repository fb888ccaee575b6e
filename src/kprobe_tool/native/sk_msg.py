# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/skmsg.h: struct sk_msg and its scatterlist, as the programs that include bpf/include/sk_msg.h see them."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from kprobe_tool.errors import Error
from kprobe_tool.native import btf
from kprobe_tool.native.field_macros import field_macros

FIELDS = {
    "SK_MSG_DATA": ("sk_msg.data",),
    "SG_START": ("sk_msg.sg.start",),
    "SG_CURR": ("sk_msg.sg.curr",),
    "SG_END": ("sk_msg.sg.end",),
    "SG_SIZE": ("sk_msg.sg.size",),
    # A single long up to Linux v6.1, a bitmap of as many bits since.
    "SG_COPY": ("sk_msg.sg.copy",),
    "SG_DATA": ("sk_msg.sg.data",),
    "SG_ENTRY": ("scatterlist",),
    "SCATTERLIST_PAGE_LINK": ("scatterlist.page_link",),
    "SCATTERLIST_OFFSET": ("scatterlist.offset",),
    "SCATTERLIST_LENGTH": ("scatterlist.length",),
    # compound_info since Linux v7.0.
    "PAGE_COMPOUND": ("page.compound_head", "page.compound_info"),
    "PAGE_MAPPING": ("page.mapping", "folio.mapping"),
    "ADDRESS_SPACE_HOST": ("address_space.host",),
    "INODE_I_DATA": ("inode.i_data",),
    "INODE_I_INO": ("inode.i_ino",),
    "INODE_I_SB": ("inode.i_sb",),
    "SUPER_BLOCK_S_DEV": ("super_block.s_dev",),
}
"""For field_macros(): what sg_list_read() reads."""

MINORBITS = 20
"""The kernel's own dev_t (linux/kdev_t.h), which is not that of user space."""


class sg_element(ctypes.Structure):
    """bpf/include/sk_msg.h."""

    _fields_ = (
        ("ino", ctypes.c_uint64),
        ("dev", ctypes.c_uint32),
        ("offset", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
        ("index", ctypes.c_uint8),
        ("kind", ctypes.c_uint8),
        ("copy", ctypes.c_uint8),
        ("exposed", ctypes.c_uint8),
    )


class sg_list(ctypes.Structure):
    """bpf/include/sk_msg.h, up to the array of elements, of which ``count`` are filled."""

    _fields_ = (
        ("copy", ctypes.c_uint64),
        ("start", ctypes.c_uint32),
        ("curr", ctypes.c_uint32),
        ("end", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
        ("exposed", ctypes.c_uint32),
    )


class PageKind(IntEnum):
    """Whose page an element refers to (enum page_kind)."""

    NONE = 0
    KERNEL = 1
    ANON = 2
    CACHE = 3


@dataclass(frozen=True)
class Element:
    """One entry of a scatterlist: ``length`` bytes at ``offset`` of a page, in slot ``index`` of the ring.

    ``dev`` (as st_dev) and ``ino`` are of the file whose page cache it is, None for other pages. ``copy``: a program
    gets a copy, not the page. ``exposed``: the page cache without that.
    """

    index: int
    length: int
    offset: int
    kind: PageKind
    copy: bool
    exposed: bool
    dev: int | None
    ino: int | None


class Scatterlist(NamedTuple):
    """sk_msg.sg: the ring's places and size, the copy bitmap, and the elements from ``start`` to ``end``."""

    start: int
    curr: int
    end: int
    size: int
    copy: int
    elements: tuple[Element, ...]

    @property
    def exposed(self) -> bool:
        return any(element.exposed for element in self.elements)


def fields() -> dict[str, int]:
    """The macros of a program that includes sk_msg.h. Raises Error where the kernel has no BTF that says so."""
    try:
        return field_macros(FIELDS, btf.vmlinux())
    except FileNotFoundError as error:
        raise Error("BTF", "this kernel has none", hint="a kernel with CONFIG_DEBUG_INFO_BTF=y") from error
    except (OSError, ValueError) as error:
        raise Error("BTF", str(error), hint="the kernel's BTF cannot be read, or is newer than this tool") from error


def element_of(raw: sg_element) -> Element:
    cached = raw.kind == PageKind.CACHE
    return Element(
        index=raw.index,
        length=raw.length,
        offset=raw.offset,
        kind=PageKind(raw.kind),
        copy=bool(raw.copy),
        exposed=bool(raw.exposed),
        dev=os.makedev(raw.dev >> MINORBITS, raw.dev & ((1 << MINORBITS) - 1)) if cached else None,
        ino=raw.ino if cached else None,
    )


def decode(data: bytes) -> Scatterlist:
    """A struct sg_list, with all or only the filled part of its array. Raises ValueError where it is cut short."""
    head = sg_list.from_buffer_copy(data)
    first, each = ctypes.sizeof(sg_list), ctypes.sizeof(sg_element)
    elements = [sg_element.from_buffer_copy(data, first + number * each) for number in range(head.count)]
    return Scatterlist(head.start, head.curr, head.end, head.size, head.copy, tuple(map(element_of, elements)))
