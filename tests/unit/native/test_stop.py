# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals that stop what would run on."""

import os
import signal

import pytest

from kprobe_tool.native import stop


@pytest.mark.parametrize("number", stop.SIGNALS)
def test_a_signal_sets_the_flag(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop.flag() as stopped:
        assert stopped() is None
        os.kill(os.getpid(), number)
        assert stopped() is number
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_does_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt), stop.flag():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_a_block_that_fails_does_not_swallow_the_signal() -> None:
    """The block fails because it was told to end: the signal is the reason, not the failure."""
    with pytest.raises(KeyboardInterrupt), stop.flag():
        os.kill(os.getpid(), signal.SIGINT)
        raise OSError
