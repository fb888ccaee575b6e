# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines of a log, whatever they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kprobe_tool.probes.verifier.log.lines import parse_line
from kprobe_tool.probes.verifier.log.noise import clean


@given(st.text(max_size=300))
def test_every_line_is_something(text: str) -> None:
    assert parse_line(clean(text.encode("utf-8", "surrogatepass")))
