# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of program types, which load and watch read alike."""

from __future__ import annotations

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.probes.verifier.prog_types import name_of, number_of


@pytest.mark.parametrize("name", ["xdp", "XDP", "BPF_PROG_TYPE_XDP", "6"])
def test_one_type_has_many_spellings(name: str) -> None:
    assert number_of(name) == 6


def test_aliases_and_numbers_are_types() -> None:
    assert number_of("tc") == number_of("sched_cls") == 3
    assert number_of("0") == 0
    assert number_of("4294967295") == (1 << 32) - 1
    assert (name_of(6), name_of(0), name_of(9999)) == ("xdp", None, None)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("xpd", "did you mean 'xdp'"),
        ("BPF_PROG_TYPE_XPD", "did you mean 'xdp'"),
        ("zzz", "there are socket_filter"),
        ("4294967296", "there are"),
        ("\u0663", "there are"),
        ("unspec", "there are|did you mean"),
    ],
)
def test_what_is_no_type_gets_a_hint(name: str, hint: str) -> None:
    with pytest.raises(Error, match=hint):
        number_of(name)
