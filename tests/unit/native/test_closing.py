# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects that are closed when their block ends."""

from __future__ import annotations

import pytest

from kprobe_tool.native.closing import Closing


class Opened(Closing):
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_the_end_of_a_block_closes() -> None:
    with Opened() as opened:
        assert opened.closed == 0
    assert opened.closed == 1


def test_the_failure_of_a_block_closes() -> None:
    opened = Opened()
    with pytest.raises(ValueError, match="no"), opened:
        raise ValueError("no")
    assert opened.closed == 1
