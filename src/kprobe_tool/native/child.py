# SPDX-License-Identifier: GPL-2.0-or-later
"""A child process to experiment in: it answers requests, and cannot outlive its parent."""

from __future__ import annotations

import errno as errnos
import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from kprobe_tool.native import fork
from kprobe_tool.native.closing import Closing
from kprobe_tool.native.fork import Channel

Request = dict[str, Any]
Serve = Callable[[Request], Request]

PATIENCE = 30.0
"""Seconds for a killed child to end, which takes longer the more it made."""


class Died(ConnectionError):
    """The child is gone without an answer: ``signal`` killed it, or it left (None)."""

    def __init__(self, signal: int | None) -> None:
        self.signal = signal
        super().__init__("the child process died" + (f" of signal {signal}" if signal else ""))


class Child(Closing):
    """fork(2) of this process that runs ``serve`` on each request it gets.

    Whatever the child changes (namespaces, sockets) ends with it: at the end of the ``with`` block by SIGKILL, and
    when this process dies in any way by PR_SET_PDEATHSIG. ``deadline`` is in seconds of time.monotonic().

    Raises fork.CannotStart. Raises, from :meth:`ask`: OSError as the child met it, ENOMEM for a MemoryError;
    TimeoutError past the deadline; Died when the child died without an answer.
    """

    def __init__(self, serve: Serve, deadline: float) -> None:
        self.deadline = deadline
        self._process = fork.start(partial(answer_requests, serve))

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, **request: Any) -> Request:
        """Send one request and wait for its answer."""
        channel = self._process.channel
        try:
            channel.send(json.dumps(request).encode())
            raw = channel.receive(self.deadline)
        except (ConnectionError, EOFError):
            raise Died(self._signal()) from None
        answer: Request = json.loads(raw)
        if "oserror" in answer:
            number, reason, on = answer["oserror"]
            raise OSError(number, reason, on)
        return answer

    def _signal(self) -> int | None:
        """What killed a child that is at its end."""
        status = self._process.wait(PATIENCE)
        return os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None

    def close(self) -> None:
        """End the child, if it still lives."""
        self._process.end(PATIENCE)


def answer_requests(serve: Serve, channel: Channel) -> None:
    """What the child does until the parent hangs up."""
    while True:
        try:
            request = json.loads(channel.receive())
        except EOFError:
            return
        try:
            answer = json.dumps(serve(request))
        except OSError as error:
            answer = json.dumps({"oserror": [error.errno, error.strerror, error.filename]})
        except MemoryError:
            answer = json.dumps({"oserror": [errnos.ENOMEM, os.strerror(errnos.ENOMEM), None]})
        channel.send(answer.encode())
