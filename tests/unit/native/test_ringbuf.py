# SPDX-License-Identifier: GPL-2.0-or-later
"""Records of ring buffers that there is no memory for."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest

from kprobe_tool.native.ringbuf import RingBuffer

Take = Callable[[None, int, int], int]


class TooLarge(int):
    """A size for which there is no memory."""

    def __radd__(self, other: int) -> int:
        raise MemoryError


class Library:
    """libbcc with a ring buffer of records of these sizes."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes

    def bpf_new_ringbuf(self, fd: int, take: Take, context: None) -> int:
        self.take = take
        return 1

    def bpf_consume_ringbuf(self, manager: int) -> int:
        record = ctypes.create_string_buffer(b"record")
        answers = [self.take(None, ctypes.addressof(record), size) for size in self.sizes]
        return min([*answers, len(answers)])


def plain(take: Take) -> Take:
    """In place of the type of a C function."""
    return take


def test_records_are_copied() -> None:
    assert RingBuffer(Library(6, 3), plain, [0]).read(0) == [b"record", b"rec"]


def test_a_record_that_is_lost_is_an_error() -> None:
    with pytest.raises(MemoryError):
        RingBuffer(Library(6, TooLarge(3), 3), plain, [0]).read(0)
