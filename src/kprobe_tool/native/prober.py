# SPDX-License-Identifier: GPL-2.0-or-later
"""Raw system calls, made in a process of their own: for calls that must not go through, and where a filter may kill.

A call is data: a number and its arguments. So is the answer: errno, return value, and what the kernel wrote.
"""

from __future__ import annotations

import ctypes
import errno as errnos
import os
import resource
import signal as signals
import struct
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from kprobe_tool.native import syscall
from kprobe_tool.native.child import Child, Died, Request
from kprobe_tool.native.closing import Closing
from kprobe_tool.native.fork import CannotStart

# linux/resource.h: RLIMIT_CORE. 1 byte is too small for a core file and is what keeps a pipe in core_pattern from
# being started, which 0 does not (fs/coredump.c).
NO_CORE = 1


class Memory(NamedTuple):
    """What a pointer argument points to. ``pointers`` are (offset, bytes): pointers inside, and their memory."""

    data: bytes
    pointers: tuple[tuple[int, bytes], ...] = ()


class Call(NamedTuple):
    """One raw system call: its name and up to six arguments, each a number or the memory behind a pointer.

    ``forks``: where it returns 0, the caller is a new process that nobody wanted, which exits at once. ``opens``:
    where it returns 0 or more, that is a file descriptor that nobody wanted, which is closed at once.
    """

    name: str
    args: tuple[int | Memory, ...]
    forks: bool = False
    opens: bool = False


class CallAnswer(NamedTuple):
    """What came back: ``errno`` 0 is success and ``value`` its result.

    ``memory`` is what each Memory argument holds afterwards, then what each pointer inside of them does. ``signal``
    is set where the caller was killed instead (0: it was gone without a signal).
    """

    errno: int
    value: int
    memory: tuple[bytes, ...]
    signal: int | None = None


def perform(call: Call) -> CallAnswer:
    """Make a call in this very process. Raises OSError (ENOSYS) when its number is not known here."""
    buffers: list[ctypes.Array[ctypes.c_char]] = []
    inner: list[ctypes.Array[ctypes.c_char]] = []
    words: list[int] = []
    for arg in call.args:
        if isinstance(arg, int):
            words.append(arg)
            continue
        buffer = ctypes.create_string_buffer(arg.data, len(arg.data))
        for offset, data in arg.pointers:
            inner.append(ctypes.create_string_buffer(data, len(data)))
            struct.pack_into("=Q", buffer, offset, ctypes.addressof(inner[-1]))
        buffers.append(buffer)
        words.append(ctypes.addressof(buffer))
    shown = tuple(arg if isinstance(arg, int) else arg.data for arg in call.args)
    value = syscall.call(call.name, *words, shown=shown)
    number_of_error = ctypes.get_errno() if value == -1 else 0
    if call.forks and value == 0:
        os._exit(0)
    if call.opens and value >= 0:
        os.close(value)
    return CallAnswer(number_of_error, value, tuple(bytes(buffer) for buffer in buffers + inner))


class Prober(Closing):
    """A forked child that makes calls, and another one when a call has ended the first.

    ``calls`` counts them. Raises, from :meth:`ask`: CannotStart where no child can be had, or where a filter kills
    every child; TimeoutError when there is no answer by ``deadline`` (seconds of time.monotonic()), because a
    supervisor of this process does not answer.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.calls = 0
        self._child: Child | None = None

    def ask(self, call: Call) -> CallAnswer:
        """Make one call in the child."""
        self.calls += 1
        try:
            answer = self._request(call, rehearsal=False)
        except Died as death:
            self._rehearse(call)
            return CallAnswer(
                0, 0, tuple(arg.data for arg in call.args if isinstance(arg, Memory)), death.signal or 0
            )
        memory = tuple(bytes.fromhex(data) for data in answer["memory"])
        return CallAnswer(answer["errno"], answer["value"], memory)

    def _rehearse(self, call: Call) -> None:
        """Do all of a call but the call itself, in a new child, after a child did not survive the call.

        If the new child lives, it was the call that ended the first one. If it dies as well, no child can live here:
        raises CannotStart.
        """
        try:
            self._request(call, rehearsal=True)
        except Died as death:
            how = f"is killed by {signals.Signals(death.signal).name}" if death.signal else "ends by itself"
            reason = f"it {how} before it can ask anything"
            raise CannotStart(errnos.ECHILD, reason, "child process to ask in") from death

    def _request(self, call: Call, *, rehearsal: bool) -> Request:
        """The child's answer. Raises Died; the next request then starts a new child."""
        if self._child is None:
            self._child = Child(serve, self.deadline)
        try:
            return self._child.ask(
                name=call.name,
                args=[arg if isinstance(arg, int) else pack(arg) for arg in call.args],
                forks=call.forks,
                opens=call.opens,
                rehearsal=rehearsal,
            )
        except Died:
            self.close()
            raise
        except OSError as error:
            if error.errno is None or error.filename:
                raise
            raise CannotStart(error.errno, error.strerror, "child process to ask in") from error

    @property
    def child_pid(self) -> int | None:
        """The process that makes the calls, while there is one."""
        return None if self._child is None else self._child.pid

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


def pack(memory: Memory) -> Request:
    return {"data": memory.data.hex(), "pointers": [[offset, data.hex()] for offset, data in memory.pointers]}


def unpack(arg: int | Request) -> int | Memory:
    if isinstance(arg, int):
        return arg
    pointers: Sequence[tuple[int, str]] = arg["pointers"]
    return Memory(bytes.fromhex(arg["data"]), tuple((offset, bytes.fromhex(data)) for offset, data in pointers))


@cache
def limit_core() -> None:
    """Once in a process: being killed must not leave a core file behind."""
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        if hard != 0:
            resource.setrlimit(resource.RLIMIT_CORE, (NO_CORE, hard))
    except OSError as error:
        raise OSError(error.errno, error.strerror, "child process to ask in: prlimit64(2)") from error


def serve(request: Request) -> Request:
    """The child's side of :meth:`Prober.ask`."""
    limit_core()
    args = tuple(unpack(arg) for arg in request["args"])
    if request["rehearsal"]:
        return {}
    answer = perform(Call(request["name"], args, request["forks"], request["opens"]))
    return {"errno": answer.errno, "value": answer.value, "memory": [data.hex() for data in answer.memory]}
