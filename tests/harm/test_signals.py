# SPDX-License-Identifier: GPL-2.0-or-later
"""Each command line to its end and into signals at points spread over its run: nothing is left, nobody is misled."""

from __future__ import annotations

import re
import signal
from functools import cache

import pytest

from . import FULL
from .invocations import INVOCATIONS, Invocation
from .runs import Run, assert_unchanged, run, snapshot

POINTS = 20 if FULL else 1
ENDLESS = 4.0
"""Seconds over which the signals to a command that does not end by itself are spread, unless it is refused here."""

of_invocations = pytest.mark.parametrize("invocation", INVOCATIONS, ids=str)
SIGNALS = {
    signal.SIGINT: {-signal.SIGINT, 130},
    signal.SIGTERM: {-signal.SIGTERM, 143},
    signal.SIGKILL: {-signal.SIGKILL},
}
"""The exit statuses that say nothing but that it was a signal."""
OUR_FRAME = re.compile(r'File "[^"]*kprobe_tool/[^"]*"')
"""In a traceback. The package's path alone is in one of the interpreter that looks for it."""


@cache
def run_undisturbed(invocation: Invocation) -> Run:
    return run(invocation.arguments, signal=signal.SIGTERM if invocation.endless else 0, after=ENDLESS)


def has_finished(done: Run, whole: Run) -> bool:
    """Whether the run had said all that the whole one says and was on its way out when the signal came."""
    return done.code == whole.code and len(done.stdout.splitlines()) == len(whole.stdout.splitlines())


def has_begun(done: Run) -> bool:
    """Whether the interpreter had got to the tool, which can do nothing about what is before."""
    return "KeyboardInterrupt" not in done.stderr or OUR_FRAME.search(done.stderr) is not None


def interrupt(invocation: Invocation, number: signal.Signals, after: float) -> Run:
    """A run that the signal reached: one that had finished is tried again earlier, one that had not begun later.

    What runs for ever elsewhere may end by itself here, where the kernel refuses it.
    """
    whole = run_undisturbed(invocation)
    ends = whole.late or not invocation.endless
    while True:
        done = run(invocation.arguments, signal=number, after=after)
        if done.late or (ends and has_finished(done, whole)):
            after *= 0.6
        elif not has_begun(done):
            after *= 1.3
        else:
            return done


@pytest.mark.parametrize("invocation", [each for each in INVOCATIONS if not each.endless], ids=str)
def test_a_run_to_the_end_changes_nothing(invocation: Invocation) -> None:
    before = snapshot()
    done = run(invocation.arguments)
    assert done.code in {0, 1, 3}, done.stderr
    assert "Traceback" not in done.stderr
    assert not done.left
    assert_unchanged(before)


@of_invocations
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_a_signal_changes_nothing(invocation: Invocation, number: signal.Signals) -> None:
    before = snapshot()
    seconds = run_undisturbed(invocation).seconds
    for point in range(POINTS):
        after = seconds * (point + 0.5) / POINTS
        done = interrupt(invocation, number, after)
        where = f"after {after:.3f} s: {done.stderr}"
        assert done.code in SIGNALS[number], f"{where}: {done.code}"
        assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) <= 1, where
        assert not done.left, f"{where}: {done.left}"
    assert_unchanged(before)
