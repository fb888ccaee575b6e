# SPDX-License-Identifier: GPL-2.0-or-later
"""A seccomp filter that refuses system calls to this process and its children, for good."""

from __future__ import annotations

import errno
import platform

from tests.host import supervise
from tests.skips import skip

# asm/unistd_64.h
NUMBERS = {
    "mmap": 9,
    "rt_sigaction": 13,
    "recvfrom": 45,
    "socketpair": 53,
    "clone": 56,
    "fork": 57,
    "setsid": 112,
    "prctl": 157,
    "newfstatat": 262,
}


def deny(*names: str, error: int = errno.EPERM) -> None:
    """From now on these calls fail; x86-64 only."""
    for name in names:
        supervise.CALLS[name] = (NUMBERS[name], 0, 0, 0)
    supervise.install([(name, False, supervise.SECCOMP_RET_ERRNO | error) for name in names], 0)


def require_numbers() -> None:
    """Skips the calling test where deny() knows no numbers."""
    if platform.machine() != "x86_64":
        skip("the numbers of system calls are those of x86-64")
