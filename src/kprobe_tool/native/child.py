# SPDX-License-Identifier: GPL-2.0-or-later
"""A child process to experiment in: it answers requests over a socket pair and cannot outlive its parent."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from kprobe_tool.native.sched import die_with_parent

Request = dict[str, Any]
Serve = Callable[[Request], Request]

MESSAGE_MAX = 1 << 20


class Died(ConnectionError):
    """The child is gone without an answer: ``signal`` killed it, or it left (None)."""

    def __init__(self, signal: int | None) -> None:
        self.signal = signal
        super().__init__("the child process died" + (f" of signal {signal}" if signal else ""))


class Child:
    """fork(2) of this process that runs ``serve`` on each request it gets.

    Whatever the child changes (namespaces, sockets) ends with it: at the end of the ``with`` block by SIGKILL, and
    when this process dies in any way by PR_SET_PDEATHSIG. ``deadline`` is in seconds of time.monotonic().

    Raises, from :meth:`ask`: OSError as the child met it; TimeoutError past the deadline; Died when the child died
    without an answer.
    """

    def __init__(self, serve: Serve, deadline: float) -> None:
        self.deadline = deadline
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                ours.close()
                # Ctrl-C is for the parent to answer; this end follows it.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                die_with_parent()
                # The parent may have died before the prctl.
                if os.getppid() == parent:
                    answer_requests(theirs, serve)
            except BaseException:
                # A bug, which the parent sees as a child that died.
                traceback.print_exc()
            finally:
                # Never back into the caller's stack, which belongs to the parent.
                os._exit(0)
        theirs.close()
        self.socket = ours
        self.reaped = False

    def ask(self, **request: Any) -> Request:
        """Send one request and wait for its answer."""
        self.socket.settimeout(max(0.01, self.deadline - time.monotonic()))
        try:
            self.socket.send(json.dumps(request).encode())
            raw = self.socket.recv(MESSAGE_MAX)
        except ConnectionError:
            raw = b""
        if not raw:
            raise Died(self.reap())
        answer: Request = json.loads(raw)
        if "oserror" in answer:
            number, reason, on = answer["oserror"]
            raise OSError(number, reason, on)
        return answer

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child, if it still lives."""
        self.socket.close()
        if not self.reaped:
            os.kill(self.pid, signal.SIGKILL)
            self.reap()

    def reap(self) -> int | None:
        """Wait for the end of the child; the signal that ended it, if one did."""
        _, status = os.waitpid(self.pid, 0)
        self.reaped = True
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None


def answer_requests(channel: socket.socket, serve: Serve) -> None:
    """The child's life: answer until the parent hangs up."""
    while raw := channel.recv(MESSAGE_MAX):
        try:
            answer = serve(json.loads(raw))
        except OSError as error:
            answer = {"oserror": [error.errno, error.strerror, error.filename]}
        channel.send(json.dumps(answer).encode())
