# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that may never return, made in a child process that can be left behind.

A read of sysfs can wait for a lock that a stuck driver holds (blk_mq_hw_sysfs_show() takes one that is also held
while a frozen queue drains), and waits uninterruptibly: no signal and no timeout ends it, in any thread of the
process that made it. A child of its own does not keep its parent.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import struct
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from kprobe_tool.native.sched import die_with_parent

Item = TypeVar("Item")
Answer = TypeVar("Answer")

Lost = TimeoutError | ChildProcessError

LENGTH = struct.Struct("=Q")


def each(
    items: Sequence[Item], function: Callable[[Item], Answer], seconds: float
) -> Generator[tuple[Item, Answer | Lost]]:
    """``function`` of each item, in order; TimeoutError for one that took longer than ``seconds``, ChildProcessError
    for one that its process died of or that raised, which is a bug and has its traceback on stderr.

    One child makes all calls; where one hangs, another child goes on with the next item, and the stuck one goes
    when the kernel lets it.
    """
    done = 0
    while done < len(items):
        pid, pipe = start(items[done:], function)
        lost: Lost | None = None
        try:
            while done < len(items):
                try:
                    answer: Answer | ChildProcessError = pickle.loads(receive(pipe, time.monotonic() + seconds))
                except (TimeoutError, ChildProcessError) as error:
                    lost = error
                    break
                yield items[done], answer
                done += 1
        finally:
            os.close(pipe)
            os.kill(pid, signal.SIGKILL)
            status = reap(pid)
        if lost is not None:
            yield items[done], lost if isinstance(lost, TimeoutError) else ChildProcessError(how_it_ended(status))
            done += 1


def start(items: Sequence[Item], function: Callable[[Item], Answer]) -> tuple[int, int]:
    """Fork the child that answers each item into a pipe: (pid, reading end). Raises OSError."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        raise OSError(error.errno, error.strerror, "fork(2) of a child to ask in") from error
    if pid:
        os.close(writing)
        return pid, reading
    try:
        # Ctrl-C is for the parent to answer, and stdout for it to write; this end follows it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.dup2(2, 1)
        die_with_parent()
        # The parent may have died before the prctl.
        if os.getppid() == parent:
            with os.fdopen(writing, "wb") as file:
                for item in items:
                    data = answer_of(function, item)
                    file.write(LENGTH.pack(len(data)) + data)
                    file.flush()
    finally:
        # Never back into the caller's stack, which belongs to the parent.
        os._exit(0)


def answer_of(function: Callable[[Item], Answer], item: Item) -> bytes:
    """One answer, pickled; a ChildProcessError where the function raised."""
    try:
        return pickle.dumps(function(item))
    except Exception as error:  # a bug, that must not cost the items after this one
        traceback.print_exc()
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(place.filename)}:{place.lineno}"
        return pickle.dumps(ChildProcessError(f"{type(error).__name__}: {error} ({where})"))


def receive(pipe: int, deadline: float) -> bytes:
    """One message. Raises TimeoutError past the deadline, ChildProcessError when the child is gone."""
    (length,) = LENGTH.unpack(take(pipe, LENGTH.size, deadline))
    return take(pipe, length, deadline)


def take(pipe: int, size: int, deadline: float) -> bytes:
    parts = []
    while size:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError("no answer in time")
        part = os.read(pipe, min(size, 1 << 16))
        if not part:
            raise ChildProcessError("the process that asked died")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def reap(pid: int) -> int | None:
    """Collect the killed child: its status as wait(2) tells it.

    One that is stuck in the kernel is left to init, which outlives us, and has none.
    """
    for _ in range(500):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.001)
    return None


def how_it_ended(status: int | None) -> str:
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
