# SPDX-License-Identifier: GPL-2.0-or-later
"""The lines of a log from its end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kprobe_tool.probes.verifier.log.noise import clean
from kprobe_tool.probes.verifier.log.tail import STRETCH, lines_backwards


@given(st.binary(max_size=3000))
def test_lines_are_all_there(data: bytes) -> None:
    """Backwards are the same lines as forwards."""
    expected = [clean(line) for line in data.removesuffix(b"\n").split(b"\n")]
    assert list(lines_backwards(data))[::-1] == expected


def test_a_line_without_an_end_is_taken_apart() -> None:
    found = list(lines_backwards(b"first\n" + b"x" * (3 * STRETCH)))
    assert 2 <= len(found) <= 5
    assert found[-1] == "first"
