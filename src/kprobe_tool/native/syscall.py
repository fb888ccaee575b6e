# SPDX-License-Identifier: GPL-2.0-or-later
"""asm/unistd.h: the numbers of system calls that libc has no function for, and syscall(2) to make them."""

from __future__ import annotations

import ctypes
import errno as errnos
import os
import struct
from collections.abc import Sequence

from kprobe_tool.native.libc import announce, libc

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")

BADPTR = -1
"""(void *)-1: access_ok() refuses it everywhere, so EFAULT is certain. NULL is a path to newer kernels."""

SIZE_T_BITS = struct.calcsize("N") * 8

# asm/unistd.h. From 424 (pidfd_send_signal) on, the numbers are the same on every architecture but alpha, and MIPS
# counts from MIPS_N64 on.
COMMON = {
    "io_uring_register": 427,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "pidfd_open": 434,
    "clone3": 435,
    "openat2": 437,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "statmount": 457,
    "listmount": 458,
    "setxattrat": 463,
    "file_setattr": 469,
    "listns": 470,
}
OLDER = ("sched_setattr", "sched_getattr", "perf_event_open", "bpf", "ioctl", "mkdirat")
OLDEST = {"x86_64": {"mkdir": 83}, "ppc64le": {"mkdir": 39}, "s390x": {"mkdir": 39}, "mips64": {"mkdir": 81}}
"""Calls that newer architectures do not have."""
GENERIC = dict(zip(OLDER, (274, 275, 241, 280, 29, 34), strict=True))
OF_MACHINE = {
    "x86_64": dict(zip(OLDER, (314, 315, 298, 321, 16, 258), strict=True)),
    "aarch64": GENERIC,
    "riscv64": GENERIC,
    "loongarch64": GENERIC,
    "ppc64le": dict(zip(OLDER, (355, 356, 319, 361, 54, 287), strict=True)),
    "s390x": dict(zip(OLDER, (345, 346, 331, 351, 54, 289), strict=True)),
    "mips64": dict(zip(OLDER, (309, 310, 292, 315, 15, 248), strict=True)),
}
MIPS_N64 = 5000
"""Added to the number for 64-bit programs. 32-bit ones have 4000 or 6000, and nothing here tells which."""

libc.syscall.restype = ctypes.c_long


def machine_name() -> str:
    """What uname(2) calls this machine, such as x86_64."""
    return os.uname().machine


def number(name: str) -> int | None:
    """The number of a system call for this program, or None where it is not known here.

    A 32-bit program has other numbers than its machine's name says, except for the common ones.
    """
    machine = machine_name()
    if machine == "alpha" or (machine.startswith("mips") and SIZE_T_BITS < 64):
        return None
    of_machine = {**OF_MACHINE.get(machine, {}), **OLDEST.get(machine, {})} if SIZE_T_BITS == 64 else {}
    found = COMMON.get(name) or of_machine.get(name)
    return found + MIPS_N64 if found and machine.startswith("mips") else found


def call(name: str, *args: int, shown: Sequence[int | bytes] = ()) -> int:
    """syscall(2): what the kernel returns, and -1 with errno set where it fails, for :func:`libc.oserror`.

    ``args`` are up to six numbers or addresses; ``shown`` are the same for people, memory in place of its address.
    Raises OSError (ENOSYS) where the number is not known here.
    """
    nr = number(name)
    if nr is None:
        raise OSError(errnos.ENOSYS, f"number not known on {machine_name()}", name)
    # Registers of missing arguments hold garbage otherwise, and newer kernels look at more of them.
    words = (*args, 0, 0, 0, 0, 0, 0)[:6]
    announce("%s(%s)", name, shown or args)
    ctypes.set_errno(0)
    return int(libc.syscall(ctypes.c_long(nr), *(ctypes.c_long(word) for word in words)))
