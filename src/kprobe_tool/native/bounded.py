# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that may never return, made in a child process that can be left behind.

A read of sysfs can wait for a lock that a stuck driver holds (blk_mq_hw_sysfs_show() takes one that is also held
while a frozen queue drains), and waits uninterruptibly: no signal and no timeout ends it, in any thread of the
process that made it. A child of its own does not keep its parent.
"""

from __future__ import annotations

import errno as errnos
import os
import signal
import time
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import TypeVar

from kprobe_tool.native import fork, host
from kprobe_tool.native.fork import CannotStart, Channel, ChildProcess

T = TypeVar("T")
R = TypeVar("R")

Lost = OSError
"""Instead of an answer: TimeoutError, ChildProcessError, fork.CannotStart, or ENOMEM."""

PATIENCE = 0.5
"""Seconds for a killed child to end before it is left behind."""


def run_each(
    items: Sequence[T], function: Callable[[T], R], seconds: float, busy: float = 0.0
) -> Generator[tuple[T, R | Lost]]:
    """``function`` of each item, in order.

    TimeoutError for one that took longer than ``seconds``; one that by then waits for nothing but a processor, which
    says of the host that it is busy and nothing of the call, has ``busy`` seconds more. ChildProcessError for one
    that its process died of or that raised, which is a bug and has its traceback on stderr. What a host does:
    CannotStart for one that no process could be started for, ENOMEM for one that there was no memory for.

    One child makes all calls; where one hangs, another child goes on with the next item, and the stuck one goes
    when the kernel lets it.
    """
    # Before the child, which has it then. Many commands that could ask so have nothing to ask.
    import pickle

    child: ChildProcess | None = None
    answer: R | Lost
    try:
        for number, item in enumerate(items):
            try:
                child = child or fork.start(partial(answer_each, items[number:], function))
                wait_for_answer(child, seconds, busy)
                answer = pickle.loads(child.channel.receive(time.monotonic() + seconds + busy))
            except CannotStart as error:
                answer = error
            except (TimeoutError, EOFError) as error:
                assert child is not None
                status = child.end(PATIENCE)
                answer = error if isinstance(error, TimeoutError) else ChildProcessError(exit_text(status))
                child = None
            yield item, answer
    finally:
        if child is not None:
            child.end(PATIENCE)


def wait_for_answer(child: ChildProcess, seconds: float, busy: float) -> None:
    """Raises TimeoutError."""
    try:
        child.channel.wait(time.monotonic() + seconds)
    except TimeoutError:
        if not is_runnable(child.pid):
            raise
        child.channel.wait(time.monotonic() + busy)


def is_runnable(pid: int) -> bool:
    """Whether a process runs or would if there were a processor for it (proc_pid_stat(5), state R)."""
    state = (host.read_line(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
    return state[:1] == ["R"]


def answer_each(items: Sequence[T], function: Callable[[T], R], channel: Channel) -> None:
    """What the child does: a call for each item, its answer sent back."""
    for item in items:
        channel.send(answer_of(function, item))


def answer_of(function: Callable[[T], R], item: T) -> bytes:
    """One answer, pickled; an error where the function raised."""
    import pickle

    try:
        return pickle.dumps(function(item))
    except MemoryError:
        return pickle.dumps(OSError(errnos.ENOMEM, os.strerror(errnos.ENOMEM)))
    except Exception as error:  # A bug: it must not cost the items after this one.
        import traceback

        traceback.print_exc()
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(place.filename)}:{place.lineno}"
        return pickle.dumps(ChildProcessError(f"{type(error).__name__}: {error} ({where})"))


def exit_text(status: int | None) -> str:
    """What wait(2) says of a child that gave no answer."""
    if status is None:
        return "the process that asked does not end"
    if os.WIFSIGNALED(status):
        return f"the process that asked was killed by {signal_name(os.WTERMSIG(status))}"
    return "the process that asked ended without an answer"


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
