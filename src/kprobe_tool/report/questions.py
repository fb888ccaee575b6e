# SPDX-License-Identifier: GPL-2.0-or-later
"""``-v``: each question to the kernel as a line on stderr, when it is put.

By the interpreter's audit hooks, which cost nothing until one is there: it says itself which files, directories and
sockets are opened, and native.libc.announce what goes another way. Child processes inherit the hook.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kprobe_tool.report.text import escape

FILES = ("/proc", "/sys", "/dev", "/boot", "/lib/modules", "/run/netns", "/etc/modprobe.d", "/run/modprobe.d")
"""Below these the kernel is asked, or what it would load; all other files are the interpreter's or the user's."""
ADDRESS_MIN = 1 << 20
BYTES_SHOWN = 32
WRITING = os.O_WRONLY | os.O_RDWR


def question(event: str, args: Sequence[Any]) -> str | None:
    """What an event of the interpreter asks the kernel, in a line; None where it asks it nothing."""
    match event, args:
        case "kprobe_tool.question", (template, values):
            return str(template % tuple(map(words, values)))
        case "open", (str(path), _, int(flags)) if path.startswith(FILES):
            return f"{'write' if flags & WRITING else 'read'} {path}"
        case (("os.listdir" | "os.scandir"), (str(path), *_)) if path.startswith(FILES):
            return f"list {path}"
        case "socket.__new__", (_, family, kind, protocol) if family > 1:
            return f"socket({name_of('AddressFamily', family)}, {name_of('SocketKind', kind & 0xF)}, {protocol})"
        case "fcntl.ioctl", (_, int(request), _):
            return f"ioctl({request:#x})"
    return None


def words(value: object) -> object:
    """One value of a question; a tuple as the arguments of a call are written."""
    return ", ".join(map(argument, value)) if isinstance(value, tuple) else value


def argument(value: int | bytes) -> str:
    """A number, in hexadecimal where it is an address; memory as its size and its first bytes, without trailing
    zeros."""
    if isinstance(value, int):
        return hex(value) if value > ADDRESS_MIN else str(value)
    shown = value.rstrip(b"\0")
    more = "..." if len(shown) > BYTES_SHOWN else ""
    return f"[{len(value)}: {shown[:BYTES_SHOWN].hex()}{more}]"


def name_of(kind: str, number: int) -> str:
    """The name of a number that socket(2) is given. Whoever makes that call has imported the module with the
    names."""
    try:
        return str(getattr(sys.modules["socket"], kind)(number).name)
    except ValueError:
        return str(number)


def log_questions() -> None:
    """Write every question from now on to what stderr is now, also while a library's output to stderr is caught."""
    stderr = os.dup(2)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        text = question(event, args)
        if text is not None:
            # The answer does not depend on whether this can be written.
            with suppress(OSError):
                os.write(stderr, f"kprobe-tool: asks: {escape(text)}\n".encode(errors="backslashreplace"))

    sys.addaudithook(hook)
