# SPDX-License-Identifier: GPL-2.0-or-later
"""The error a person reads, and the exit codes a script reads."""

from __future__ import annotations

import errno as errnos
import os
from enum import IntEnum
from functools import partial


class ExitCode(IntEnum):
    """What the process says to its caller. Only ``-o nrpe`` speaks another dialect."""

    OK = 0
    """Done, and nothing was found."""
    FOUND = 1
    """A check found something (``audit`` and the ``--leak-check``-like modes)."""
    CANNOT_RUN = 2
    """The question was wrong: usage, no such namespace, a file that cannot be read or written."""
    CANNOT_TELL = 3
    """The host gives no answer, or not all of it: no privilege, blocked, no memory."""
    INTERRUPTED = 130
    """Ctrl-C: 128 + SIGINT."""
    BROKEN_PIPE = 141
    """The reader of stdout went away: 128 + SIGPIPE, as a program written in C would die."""
    TERMINATED = 143
    """128 + SIGTERM."""

    @classmethod
    def after(cls, signal: int | None) -> ExitCode:
        """The exit code of a command that finished its work: because of this signal, or by itself (None)."""
        return cls.OK if signal is None else cls(128 + signal)


class PluginState(IntEnum):
    """What ``-o nrpe`` says to its caller: the exit codes of monitoring plugins."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3
    """Also wrong usage, and whatever else keeps the question from being asked."""


KEPT_BACK = frozenset(
    {
        errnos.EPERM,
        errnos.EACCES,
        errnos.ENOMEM,
        errnos.EMFILE,
        errnos.ENFILE,
        errnos.EAGAIN,
        errnos.ENOSYS,
        errnos.ECHILD,
        errnos.EAFNOSUPPORT,
    }
)
"""No answer because of the host, and not of the question: another caller or a later call may get one."""
ERRNO_NAMES = {**errnos.errorcode, errnos.EOPNOTSUPP: "EOPNOTSUPP", errnos.EDEADLK: "EDEADLK", 524: "ENOTSUPP"}
"""Of two names for a number, the kernel's. ENOTSUPP is linux/errno.h's, not for user space; bpf(2) returns it too."""


def errno_name(number: int) -> str:
    """The kernel's name of an errno, or ``errno N`` where none is known."""
    return ERRNO_NAMES.get(number, f"errno {number}")


class Error(Exception):
    """Something a user or a host caused, said in one line: what, on what, the errno's name, what to do.

    ``subject`` is what the operation was on (``netns 'blue'``), ``reason`` what went wrong; with ``errno``
    and no reason the reason is the errno's own text. ``hint`` is the next step for the reader.
    """

    def __init__(
        self, subject: str, reason: str | None = None, *, errno: int | None = None, hint: str | None = None
    ) -> None:
        if reason is None:
            if errno is None:
                raise TypeError("an Error needs a reason or an errno")
            reason = os.strerror(errno)
        self.subject = subject
        self.reason = reason
        self.errno = errno
        self.hint = hint
        super().__init__(str(self))

    def __reduce__(self) -> tuple[partial[Error], tuple[str, str]]:
        """For pickle: an error of a child process is raised again in its parent."""
        return partial(type(self), errno=self.errno, hint=self.hint), (self.subject, self.reason)

    @classmethod
    def from_os(cls, subject: str, error: OSError, *, hint: str | None = None) -> Error:
        """An OSError as an Error about ``subject``. Its text stays: that of our own calls says more than an errno."""
        if error.errno is None:
            return cls(subject, str(error), hint=hint)
        return cls(subject, error.strerror, errno=error.errno, hint=hint)

    def __str__(self) -> str:
        line = f"{self.subject}: {self.reason}"
        if self.errno is not None:
            line += f" ({errno_name(self.errno)})"
        if self.hint is not None:
            line += f"; {self.hint}"
        return line

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of a command that has nothing to say but this."""
        return ExitCode.CANNOT_TELL if self.errno in KEPT_BACK else ExitCode.CANNOT_RUN

    def as_dict(self) -> dict[str, object]:
        """The JSON form: ``subject``, ``reason``, ``errno`` (its name) and ``hint``, null where unknown."""
        return {
            "subject": self.subject,
            "reason": self.reason,
            "errno": None if self.errno is None else errno_name(self.errno),
            "hint": self.hint,
        }


class FileError(Error):
    """A file that the user names cannot be read or written, or is not what it should be: the question was wrong."""

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.CANNOT_RUN
