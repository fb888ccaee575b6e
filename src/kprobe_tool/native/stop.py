# SPDX-License-Identifier: GPL-2.0-or-later
"""Ctrl-C and SIGTERM for what runs until then: a flag, so that nothing stops half way through a record."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def flag() -> Iterator[Callable[[], signal.Signals | None]]:
    """Within the block SIGINT and SIGTERM only set a flag; yields a function giving the last of them, or None.

    Main thread only. A second signal of the kind acts as it would outside the block, for those who cannot
    wait; so does the first one where the block fails.
    """
    seen: list[signal.Signals] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def set_flag(number: int, frame: FrameType | None) -> None:
        seen.append(signal.Signals(number))
        signal.signal(number, before[signal.Signals(number)])

    for number in SIGNALS:
        signal.signal(number, set_flag)
    failed = True
    try:
        yield lambda: seen[-1] if seen else None
        failed = False
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if failed and seen:
            signal.raise_signal(seen[-1])
