# SPDX-License-Identifier: GPL-2.0-or-later
"""Scatterlists, as programs that include bpf/include/sk_msg.h hand them over."""

from __future__ import annotations

import os
import struct

import pytest

from kprobe_tool.native import sk_msg
from kprobe_tool.native.sk_msg import Element, PageKind, Scatterlist

LIST = struct.pack("=Q6I", 0b10, 17, 0, 1, 1008, 2, 1)
KERNEL = struct.pack("=Q3I4B", 0, 0, 0, 8, 17, 1, 0, 0)
CACHE = struct.pack("=Q3I4B", 1029, 259 << 20 | 300, 100, 1000, 0, 3, 0, 1)


def test_a_scatterlist_is_decoded() -> None:
    assert sk_msg.decode(LIST + KERNEL + CACHE + bytes(100)) == Scatterlist(
        17,
        0,
        1,
        1008,
        0b10,
        (
            Element(17, 8, 0, PageKind.KERNEL, copy=False, exposed=False, dev=None, ino=None),
            Element(0, 1000, 100, PageKind.CACHE, copy=False, exposed=True, dev=os.makedev(259, 300), ino=1029),
        ),
    )
    assert sk_msg.decode(LIST + KERNEL + CACHE).exposed


def test_a_scatterlist_may_have_no_elements() -> None:
    empty = sk_msg.decode(struct.pack("=Q6I", 0, 0, 0, 0, 0, 0, 0))
    assert empty.elements == ()
    assert not empty.exposed


def test_a_scatterlist_that_is_cut_short_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        sk_msg.decode(LIST + KERNEL + CACHE[:-1])
