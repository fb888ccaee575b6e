# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that do not come back."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing

import pytest

from kprobe_tool.native import bounded


def test_order_and_size() -> None:
    """Answers larger than a pipe holds, in the order of the items, from a process that is not this one."""
    found = list(bounded.each([1, 2, 3], lambda item: (os.getpid(), "x" * item * 300_000), 30))
    assert [item for item, _ in found] == [1, 2, 3]
    answers = [answer for _, answer in found if not isinstance(answer, OSError)]
    assert [len(text) for _, text in answers] == [300_000, 600_000, 900_000]
    assert {pid for pid, _ in answers}.isdisjoint({os.getpid()})


def test_stuck_ones_are_left_behind() -> None:
    def slow(item: int) -> int:
        if item % 2:
            time.sleep(3600)
        return item

    start = time.monotonic()
    found = list(bounded.each(range(5), slow, 0.3))
    assert time.monotonic() - start < 30
    assert [item for item, answer in found if isinstance(answer, TimeoutError)] == [1, 3]
    assert [answer for _, answer in found if not isinstance(answer, TimeoutError)] == [0, 2, 4]


def test_no_child_is_left() -> None:
    with closing(bounded.each(range(100), lambda item: item, 30)) as answers:
        assert next(answers) == (0, 0)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_dying_child() -> None:
    """Killed for its memory, say: the item is lost, the others are not."""

    def die(item: int) -> int:
        if item == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    (_, first), (_, second), (_, third) = bounded.each(range(3), die, 30)
    assert (first, third) == (0, 2)
    assert isinstance(second, ChildProcessError)


def test_nothing_to_do() -> None:
    assert list(bounded.each([], lambda item: item, 30)) == []
