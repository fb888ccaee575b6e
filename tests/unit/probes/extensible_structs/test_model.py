# SPDX-License-Identifier: GPL-2.0-or-later
"""The data about a struct, and what follows from it."""

from __future__ import annotations

import ctypes

import pytest

from kprobe_tool.native.records import struct_fields
from kprobe_tool.probes.extensible_structs.model import (
    CheckFields,
    Field,
    FieldFacts,
    Flag,
    Reachability,
    Size,
    SyscallReport,
    fields,
    flags_since,
)


class request(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_uint32),
        ("__spare", ctypes.c_uint32),
        ("mask", ctypes.c_uint64),
        ("signal", ctypes.c_uint16),
        ("signal_pad", ctypes.c_uint16),
    )


MASK = (Flag("A", 1, "6.1"),)
REPORT = SyscallReport(
    "x", "y", "1.0", Reachability.YES, 22, CheckFields.NO, 22, Size(24), None, None, calls=0, fields=()
)


def test_fields_are_those_of_the_declared_struct() -> None:
    """Padding is left out; a field of which nothing is told came with the struct."""
    found = fields(struct_fields(request), "5.0", {"mask": FieldFacts("6.1", MASK, "odd"), "signal": "6.2"})
    assert found == (
        Field("size", 0, 4, "5.0"),
        Field("mask", 8, 8, "6.1", MASK, "odd"),
        Field("signal", 16, 2, "6.2"),
    )


def test_a_field_has_an_end_and_bits() -> None:
    assert (Field("mask", 8, 8, "6.1").end, Field("mask", 8, 8, "6.1").bits) == (16, 64)
    assert Field("at_flags", None, 4, "6.1").end == 0


def test_flags_may_share_their_release() -> None:
    assert flags_since("5.12", {"A": 1, "B": 4}) == (Flag("A", 1, "5.12"), Flag("B", 4, "5.12"))


@pytest.mark.parametrize(
    ("size", "check_fields", "btf", "agree"),
    [
        (24, None, None, None),
        (None, None, None, None),
        (24, 24, None, True),
        (24, None, 32, False),
        (None, 24, 24, True),
        (24, 24, 32, False),
    ],
)
def test_two_witnesses_of_the_size_must_agree(
    size: int | None, check_fields: int | None, btf: int | None, agree: bool | None
) -> None:
    report = REPORT._replace(size=Size(size), size_check_fields=check_fields, size_btf=btf)
    assert report.sizes_agree is agree
