# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls in children, which may be late, die, or not come back at all."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing

import pytest

from kprobe_tool.native import bounded

from ...processes import children


def test_large_answers_come_in_the_order_of_their_items() -> None:
    """The answers are larger than a pipe holds, and come from another process."""
    found = list(bounded.run_each([1, 2, 3], lambda item: (os.getpid(), "x" * item * 300_000), 30))
    assert [item for item, _ in found] == [1, 2, 3]
    answers = [answer for _, answer in found if not isinstance(answer, OSError)]
    assert [len(text) for _, text in answers] == [300_000, 600_000, 900_000]
    assert {pid for pid, _ in answers}.isdisjoint({os.getpid()})


def test_stuck_calls_are_left_behind() -> None:
    def slow(item: int) -> int:
        if item % 2:
            time.sleep(3600)
        return item

    start = time.monotonic()
    found = list(bounded.run_each(range(5), slow, 0.3))
    assert time.monotonic() - start < 30
    assert [item for item, answer in found if isinstance(answer, TimeoutError)] == [1, 3]
    assert [answer for _, answer in found if not isinstance(answer, TimeoutError)] == [0, 2, 4]


def test_a_busy_host_is_no_stuck_call() -> None:
    """Who would run if there were a processor is waited for; who sleeps in the kernel is not."""

    def work(item: str) -> str:
        end = time.monotonic() + 1
        while item == "works" and time.monotonic() < end:
            pass
        if item == "sleeps":
            time.sleep(3600)
        return item

    (_, first), (_, second), (_, third) = bounded.run_each(["works", "sleeps", "ends"], work, 0.2, 60)
    assert (first, third) == ("works", "ends")
    assert isinstance(second, TimeoutError)


def test_no_child_is_left() -> None:
    before = children()
    with closing(bounded.run_each(range(100), lambda item: item, 30)) as answers:
        assert next(answers) == (0, 0)
        assert children() - before
    assert children() <= before


def test_a_child_that_dies_costs_its_item_only() -> None:
    """As when a child is killed for its memory: the other items are answered."""

    def die(item: int) -> int:
        if item == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    (_, first), (_, second), (_, third) = bounded.run_each(range(3), die, 30)
    assert (first, third) == (0, 2)
    assert str(second) == "the process that asked was killed by SIGKILL"


def test_a_child_that_leaves_is_an_error() -> None:
    def leave(item: int) -> None:
        os._exit(0)

    ((_, answer),) = bounded.run_each([1], leave, 30)
    assert str(answer) == "the process that asked ended without an answer"


def test_a_bug_in_a_child_costs_its_item_only(capfd: pytest.CaptureFixture[str]) -> None:
    """The item has an error, with a traceback on stderr; the same child goes on."""

    def divide(item: int) -> tuple[float, int]:
        return 1 / item, os.getpid()

    (_, first), (_, second), (_, third) = bounded.run_each([1, 0, 2], divide, 30)
    assert isinstance(second, ChildProcessError)
    assert str(second).startswith("ZeroDivisionError: division by zero (test_bounded.py:")
    assert isinstance(first, tuple) and isinstance(third, tuple) and first[1] == third[1]
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_an_answer_that_cannot_be_sent_is_an_error() -> None:
    ((_, answer),) = bounded.run_each([1], lambda item: lambda: item, 30)
    assert isinstance(answer, ChildProcessError)


def test_stdout_is_the_parent_s(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(bounded.run_each([1], lambda item: os.write(1, b"noise\n"), 30)) == [(1, 6)]
    assert capfd.readouterr() == ("", "noise\n")


def test_a_child_that_cannot_be_killed_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a child that is stuck in the kernel."""
    pids: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: pids.append(pid))
    try:
        ((_, answer),) = bounded.run_each([1], lambda item: time.sleep(3600), 0.1)
    finally:
        monkeypatch.undo()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert isinstance(answer, TimeoutError)
    assert len(pids) == 1


def test_no_items_have_no_answers() -> None:
    assert list(bounded.run_each([], lambda item: item, 30)) == []
