# SPDX-License-Identifier: GPL-2.0-or-later
"""Records that are as long as this tool knows, shorter, and longer."""

import ctypes
from ctypes import c_char, c_uint8, c_uint32

import pytest

from kprobe_tool.native.libc import text
from kprobe_tool.native.records import address, be16, be32, column, in6_addr, records


class sample(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("a", c_uint32), ("port", be16), ("addr", be32), ("name", c_char * 4), ("b", c_uint8))


ONE = (7).to_bytes(4, "little") + b"\x12\x34" + b"\x0a\x00\x00\x01" + b"ab\0\0" + b"\x09"
FIELDS = (7, 0x1234, "10.0.0.1", "ab", 9)


def test_records_of_the_known_size_are_read() -> None:
    assert list(records(sample, 15, ONE * 3)) == [FIELDS] * 3


def test_longer_records_are_stepped_over() -> None:
    assert list(records(sample, 20, (ONE + b"\xff" * 5) * 2)) == [FIELDS] * 2


@pytest.mark.parametrize(("size", "present"), [(14, 4), (13, 3), (4, 1)])
def test_fields_of_shorter_records_are_absent(size: int, present: int) -> None:
    assert list(records(sample, size, ONE[:size] * 2)) == [FIELDS[:present] + (None,) * (5 - present)] * 2


def test_a_column_is_one_field_of_each_record() -> None:
    assert list(column(sample, "port", 20, (ONE + b"\xff" * 5) * 2 + b"\x01")) == [0x1234] * 2
    assert list(column(sample, "b", 14, ONE[:14] * 2)) == [None] * 2


def test_a_last_piece_is_no_record() -> None:
    assert len(list(records(sample, 15, ONE * 2 + b"\x01"))) == 2
    assert list(records(sample, 15, b"")) == []


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (bytes(10) + b"\xff\xff\x0a\x4d\x00\x02", "10.77.0.2"),
        (bytes(15) + b"\x01", "::1"),
        (bytes(16), "::"),
        (bytes(10) + b"\xff\xfe\x0a\x4d\x00\x02", "::fffe:a4d:2"),
        (bytes(4), "0.0.0.0"),
    ],
)
def test_addresses_are_shown_as_people_write_them(raw: bytes, shown: str) -> None:
    assert address(raw) == shown


def test_in6_addr_is_sixteen_bytes() -> None:
    assert ctypes.sizeof(in6_addr) == 16


def test_text_stops_at_nul_and_keeps_odd_bytes_visible() -> None:
    assert text(b"tcp\0\xff\xff") == "tcp"
    assert text(b"caf\xe9") == "caf\\xe9"
