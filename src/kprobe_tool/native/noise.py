# SPDX-License-Identifier: GPL-2.0-or-later
"""What libbcc and LLVM write to the file descriptors of the process they are in, and that they may end it."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.native.libc import libc, text

NOISE_MAX = 1 << 20
"""Bytes of it that are read."""


def noise_file() -> int:
    """Memory for :func:`capture_output` that outlives a child process in which LLVM gives up."""
    return os.memfd_create("kprobe-tool-bcc")


def read_noise(memory: int) -> str:
    return text(os.pread(memory, NOISE_MAX, 0))


AT_EXIT = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@contextmanager
def ending_with(reason: Callable[[], Error]) -> Iterator[None]:
    """End this process with one line and CANNOT_TELL where a library calls exit(3) meanwhile.

    LLVM does that without a word of ours, and with 1, which reads as FOUND. No other end of the process is touched:
    the handler is known to libc for as long as this lasts (Itanium C++ ABI, 3.3.6).
    """
    stderr = os.dup(2)

    def end(argument: int | None) -> None:
        if not over:
            try:
                line = "".join(char if char.isprintable() else "?" for char in f"kprobe-tool: {reason()}")
                os.write(stderr, f"{line}\n".encode("utf-8", "backslashreplace"))
            finally:
                os._exit(ExitCode.CANNOT_TELL)

    over = False
    handler, owner = AT_EXIT(end), ctypes.c_char()
    try:
        if libc.__cxa_atexit(handler, None, ctypes.byref(owner)):
            raise MemoryError
        yield
    finally:
        over = True
        # It calls the handlers of this owner, and forgets them.
        libc.__cxa_finalize(ctypes.byref(owner))
        os.close(stderr)


@contextmanager
def capture_output(into: int | None = None) -> Iterator[Callable[[], str]]:
    """Catch what libbcc and LLVM write to file descriptors 1 and 2; yield a function that gives it as text.

    It is written to ``into``, a noise_file(), where one is given.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    memory = noise_file() if into is None else os.dup(into)
    kept = [(fd, os.dup(fd)) for fd in (1, 2)]
    for fd, _ in kept:
        os.dup2(memory, fd)
    try:
        yield lambda: read_noise(memory)
    finally:
        libc.fflush(None)
        for fd, copy in kept:
            os.dup2(copy, fd)
            os.close(copy)
        os.close(memory)
