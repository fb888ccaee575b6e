# SPDX-License-Identifier: GPL-2.0-or-later
"""The C library, loaded once, and the one way a failed call becomes an OSError."""

from __future__ import annotations

import ctypes
import errno as errnos
import os
import sys
from typing import NoReturn

libc = ctypes.CDLL(None, use_errno=True)
libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


def announce(question: str, *values: object) -> None:
    """Tell whoever listens (``-v``) what the kernel is asked now. ``values`` go into the template's %, a tuple of
    them as the arguments of a call."""
    sys.audit("kprobe_tool.question", question, values)


def oserror(call: str, *, needs: str | None = None, on: str | None = None) -> NoReturn:
    """Raise the calling thread's errno as OSError(errno, text, on).

    ENOSYS, EPERM and EACCES have two suspects, the kernel and a seccomp filter, and the text names both;
    ``needs`` is the capability the kernel asks for there.
    """
    number = ctypes.get_errno()
    text = os.strerror(number)
    if number == errnos.ENOSYS:
        text += f": this kernel has no {call}, or a seccomp filter hides it"
    elif number in {errnos.EPERM, errnos.EACCES}:
        wanted = f"needs {needs}, or " if needs else "is refused by the kernel, or "
        text += f": {call} {wanted}a seccomp filter refuses it"
    raise OSError(number, text, on)


def text(raw: bytes) -> str:
    """Bytes from outside as text: NUL-terminated, and what is no UTF-8 as ``\\xNN``."""
    return raw.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")
