# SPDX-License-Identifier: GPL-2.0-or-later
"""What is put into the kernel's filter, and how much memory the rings take."""

from __future__ import annotations

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.probes.verifier.watching.watch import LoadFilter, pages


def test_filters_are_packed_as_the_program_reads_them() -> None:
    assert LoadFilter().packed() == bytes(32)
    packed = LoadFilter(everything=True, pid=7, comm="abc", prog_type=0).packed()
    assert packed == b"abc".ljust(16, b"\0") + b"".join(number.to_bytes(4, "little") for number in (7, 1, 1, 0))
    for comm in ("", "x" * 16, "é" * 8):
        with pytest.raises(Error, match="1 to 15 bytes"):
            LoadFilter(comm=comm).packed()


def test_rings_take_whole_pages() -> None:
    size = 4096
    assert [pages(n) for n in (1, size, size + 1, 1 << 20)] == [1, 1, 2, 256]
