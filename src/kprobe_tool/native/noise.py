# SPDX-License-Identifier: GPL-2.0-or-later
"""What libbcc and LLVM write to the file descriptors of the process they are in."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kprobe_tool.native.libc import libc, text

NOISE_MAX = 1 << 20
"""Bytes of it that are read."""


def noise_file() -> int:
    """Memory for :func:`capture_output` that outlives a child process in which LLVM gives up."""
    return os.memfd_create("kprobe-tool-bcc")


def read_noise(memory: int) -> str:
    return text(os.pread(memory, NOISE_MAX, 0))


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
