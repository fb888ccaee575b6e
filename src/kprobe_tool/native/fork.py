# SPDX-License-Identifier: GPL-2.0-or-later
"""Child processes: how they begin, how one talks with them, and how they end.

A child is a fork(2) of this process that dies with it, leaves Ctrl-C and stdout to it, and never returns into its
stack. What a host can do to that (no room for a process, a system call refused by a filter) is a CannotStart, which
is the parent's to tell: the child prints nothing.
"""

from __future__ import annotations

import errno as errnos
import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from kprobe_tool.native.sched import die_with_parent

START_SECONDS = 60.0
"""For a child to come up, which takes milliseconds; seconds on an emulated machine."""

LENGTH = struct.Struct("=Q")
PIECE = 1 << 16


class CannotStart(OSError):
    """No child process can be had here. Its filename says what was refused."""


class Channel:
    """One end of a stream of messages of any size, between a parent and its child."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(self, message: bytes) -> None:
        """Raises ConnectionError when the other end is gone."""
        data = memoryview(LENGTH.pack(len(message)) + message)
        # write(2), not send(2): a filter that refuses that to a program still lets it write.
        while data:
            data = data[os.write(self._end.fileno(), data) :]

    def receive(self, deadline: float | None = None) -> bytes:
        """The next message. Raises EOFError when the other end is gone, TimeoutError past ``deadline``.

        ``deadline`` is in seconds of time.monotonic().
        """
        (length,) = LENGTH.unpack(self._take(LENGTH.size, deadline))
        return self._take(length, deadline)

    def _take(self, size: int, deadline: float | None) -> bytes:
        parts = []
        while size:
            if deadline is not None:
                self.wait(deadline)
            try:
                part = os.read(self._end.fileno(), min(size, PIECE))
            except ConnectionResetError:
                part = b""
            if not part:
                raise EOFError("the process that asked ended without an answer")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def wait(self, deadline: float) -> None:
        """Wait until there is something to receive. Raises TimeoutError past ``deadline``."""
        # Not select(2), which knows no descriptor above 1023.
        poll = select.poll()
        poll.register(self._end.fileno(), select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError("no answer in time")

    def finish(self) -> None:
        """Say that nothing more will be sent: the other end's receive() raises EOFError."""
        self._end.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._end.close()


class ChildProcess:
    """A child, as its parent sees it. Once it has ended it has also been waited for."""

    def __init__(self, pid: int, channel: Channel) -> None:
        self.pid = pid
        self.channel = channel
        self.reaped = False
        self.status: int | None = None
        """As wait(2) tells it; None before the end, of a child that does not end, and where nobody can tell."""

    def end(self, patience: float) -> int | None:
        """Kill it, if it still lives, and wait ``patience`` seconds for the end; its status.

        One that is stuck in the kernel is left to init, which outlives us.
        """
        self.channel.close()
        if not self.reaped:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.wait(patience)
        return self.status

    def wait(self, patience: float) -> int | None:
        """Wait for the end of a child that ends by itself; its status."""
        deadline = time.monotonic() + patience
        while not self.reaped:
            try:
                found, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                # Somebody has SIGCHLD ignored in spite of expect_children(): the kernel has waited for it.
                self.reaped = True
                break
            if found:
                self.reaped, self.status = True, status
            elif time.monotonic() > deadline:
                break
            else:
                time.sleep(0.001)
        return self.status


def expect_children() -> None:
    """Undo what a parent may have left to us: with SIGCHLD ignored the kernel waits for our children itself.

    Then nobody can tell how they ended, and their numbers may be other processes' by the time we use them.
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def start(life: Callable[[Channel], None], *, outlives: bool = False) -> ChildProcess:
    """Begin a child that runs ``life`` with its end of a channel, and then ends.

    ``outlives``: it is not killed with this process, and no terminal's signals reach it; that the channel ends is
    what it has to watch for. Raises CannotStart.
    """
    parent = os.getpid()
    try:
        expect_children()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise CannotStart(error.errno, error.strerror, "child process") from error
    try:
        pid = os.fork()
    except OSError as error:
        ours.close()
        theirs.close()
        raise CannotStart(error.errno, error.strerror, "fork(2) of a child process") from error
    if pid == 0:
        try:
            ours.close()
            run_child(Channel(theirs), life, parent, outlives=outlives)
        except BaseException:
            # A bug, which the parent sees as a child that died.
            import traceback

            traceback.print_exc()
        finally:
            # Never back into the caller's stack, which belongs to the parent.
            os._exit(0)
    theirs.close()
    process = ChildProcess(pid, Channel(ours))
    try:
        refused = process.channel.receive(time.monotonic() + START_SECONDS)
    except BaseException as error:
        process.end(patience=START_SECONDS)
        if isinstance(error, EOFError | TimeoutError):
            raise CannotStart(errnos.ECHILD, "it ended before it began", "child process") from error
        raise
    if refused:
        process.end(patience=START_SECONDS)
        number, reason, subject = refused.decode().split("\n")
        raise CannotStart(int(number), reason, subject)
    return process


def run_child(channel: Channel, life: Callable[[Channel], None], parent: int, *, outlives: bool) -> None:
    """The child's side of :func:`start`: says first whether it could be set up."""
    try:
        set_up(outlives=outlives)
    except OSError as error:
        subject = f"child process: {error.filename}" if error.filename else "child process"
        channel.send(f"{error.errno}\n{error.strerror}\n{subject}".encode())
        return
    except MemoryError:
        channel.send(f"{errnos.ENOMEM}\n{os.strerror(errnos.ENOMEM)}\nchild process".encode())
        return
    # The parent may have died before the prctl.
    if outlives or os.getppid() == parent:
        channel.send(b"")
        life(channel)


def set_up(*, outlives: bool) -> None:
    """Raises OSError that names what was refused."""
    try:
        if outlives:
            os.setsid()
        else:
            # Ctrl-C is for the parent to answer; this process follows it.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except OSError as error:
        call = "setsid(2)" if outlives else "rt_sigaction(2)"
        raise OSError(error.errno, error.strerror, call) from error
    if not outlives:
        die_with_parent()
    leave_stdout()


def leave_stdout() -> None:
    """stdout is the parent's to write: what anybody writes there goes to stderr, or nowhere where that is closed."""
    try:
        os.dup2(2, 1)
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
