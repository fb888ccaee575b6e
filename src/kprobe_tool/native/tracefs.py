# SPDX-License-Identifier: GPL-2.0-or-later
"""tracefs: one kprobe event in a trace instance of its own, gone again when the block ends.

Needs root, CONFIG_KPROBE_EVENTS and no lockdown. Names carry the pid, so two of us do not meet.
"""

from __future__ import annotations

import errno as errnos
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")

TRACE_MAX = 1 << 24
"""Far more than the one line per event that anybody here waits for."""


def directory() -> str:
    """Where tracefs is mounted. Raises OSError, ENOENT where it is not or is closed to us."""
    for path in TRACEFS:
        if os.path.exists(f"{path}/kprobe_events"):
            return path
    raise OSError(errnos.ENOENT, "no kprobe_events: tracefs is not mounted or closed to us", TRACEFS[0])


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
    group, event = f"kprobe_tool_{os.getpid()}", "hit"
    instance = f"{root}/instances/{group}"

    def undo() -> None:
        # An event that is enabled cannot be removed.
        with suppress(FileNotFoundError):
            write(f"{instance}/events/{group}/{event}/enable", "0")
        with suppress(FileNotFoundError):
            write(f"{root}/kprobe_events", f"-:{group}/{event}\n")
        with suppress(FileNotFoundError):
            os.rmdir(instance)

    with undone(undo):
        os.mkdir(instance, 0o700)
        write(f"{root}/kprobe_events", f"p:{group}/{event} {symbol} {arguments}\n")
        write(f"{instance}/events/{group}/{event}/enable", "1")
        yield Events(instance, event)


@contextmanager
def undone(undo: Callable[[], None]) -> Iterator[None]:
    """Have a process of its own call ``undo`` when the block ends, also when that is by SIGKILL.

    It waits for the other end of a pipe to close, in a session of its own that no terminal's signals reach. Raises
    OSError, EBUSY, where it could not undo.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setsid()
            os.close(writer)
            os.read(reader, 1)
            undo()
            status = 0
        finally:
            os._exit(status)
    os.close(reader)
    try:
        yield
    finally:
        os.close(writer)
        _, status = os.waitpid(pid, 0)
        if status != 0:
            raise OSError(errnos.EBUSY, "the kprobe event could not be removed", "tracefs")
