# SPDX-License-Identifier: GPL-2.0-or-later
"""tracefs: one kprobe event in a trace instance of its own, gone again when the block ends.

Needs root, CONFIG_KPROBE_EVENTS and no lockdown. Names are random: tracefs is one for all containers, in which two of
us can have the same pid.
"""

from __future__ import annotations

import errno as errnos
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from kprobe_tool.native import fork
from kprobe_tool.native.fork import Channel

TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")

TRACE_MAX = 1 << 24
"""Far more than the one line per event that anybody here waits for."""
PATIENCE = 10.0
"""Seconds for the process that has removed an event to end."""


def directory() -> str:
    """Where tracefs is mounted. Raises OSError, ENOENT where it is not or is closed to us."""
    for path in TRACEFS:
        if os.path.exists(f"{path}/kprobe_events"):
            return path
    raise OSError(
        errnos.ENOENT, "no kprobe_events: tracefs is not mounted, or this user may not look into it", TRACEFS[0]
    )


def write(path: str, text: str) -> None:
    # Not open(path, "a"): Python seeks to the end then, which tracefs refuses.
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


class Events:
    """The trace of one kprobe event."""

    def __init__(self, instance: str, event: str) -> None:
        self.instance = instance
        self.event = event

    def fields(self) -> list[dict[str, str]]:
        """``{name: value}`` of each hit so far. Raises OSError."""
        with open(f"{self.instance}/trace", encoding="utf-8", errors="backslashreplace") as file:
            lines = file.read(TRACE_MAX).splitlines()
        mark = f" {self.event}: ("
        hits = [line.split(mark, 1)[1] for line in lines if mark in line and not line.startswith("#")]
        return [dict(word.split("=", 1) for word in hit.split() if "=" in word) for hit in hits]


@contextmanager
def kprobe(symbol: str, arguments: str) -> Iterator[Events]:
    """Record every call of ``symbol``, of a module or not, with fetch arguments (trace/kprobetrace.rst).

    Raises OSError: ENOENT where the kernel has no such function, EINVAL where it does not understand an argument.
    """
    root = directory()
    group, event = f"kprobe_tool_{os.urandom(8).hex()}", "hit"
    instance = f"{root}/instances/{group}"

    def undo() -> None:
        # An event that is enabled cannot be removed.
        with suppress(FileNotFoundError):
            write(f"{instance}/events/{group}/{event}/enable", "0")
        with suppress(FileNotFoundError):
            write(f"{root}/kprobe_events", f"-:{group}/{event}\n")
        with suppress(FileNotFoundError):
            os.rmdir(instance)

    with undo_at_exit(undo):
        os.mkdir(instance, 0o700)
        write(f"{root}/kprobe_events", f"p:{group}/{event} {symbol} {arguments}\n")
        write(f"{instance}/events/{group}/{event}/enable", "1")
        yield Events(instance, event)


@contextmanager
def undo_at_exit(undo: Callable[[], None]) -> Iterator[None]:
    """Have a process of its own call ``undo`` when the block ends, also when that is by SIGKILL.

    It waits for our end of a channel to close, in a session of its own that no terminal's signals reach. Raises
    OSError, EBUSY, where it could not undo.
    """

    def undo_at_the_end(channel: Channel) -> None:
        with suppress(EOFError):
            channel.receive()
        try:
            undo()
            answer = b""
        except OSError as error:
            answer = str(error).encode()
        with suppress(ConnectionError):
            channel.send(answer)

    process = fork.start(undo_at_the_end, outlives=True)
    try:
        yield
    finally:
        process.channel.finish()
        try:
            failure = process.channel.receive().decode()
        except EOFError:
            failure = "its process was killed"
        process.end(PATIENCE)
        if failure:
            raise OSError(errnos.EBUSY, f"the kprobe event could not be removed: {failure}", "tracefs")
