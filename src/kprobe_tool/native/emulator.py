# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs such as qemu-user, which run those of another machine and answer system calls in the kernel's place."""

from __future__ import annotations

import os
import re
from functools import cache

from kprobe_tool.native.host import read_line

SELF_EXE = "/proc/self/exe"
SELF_EXE_TOO = "/proc/./self/exe"
"""Another spelling of the same path. An emulator answers for the first one itself (QEMU's linux-user/syscall.c,
is_proc_myself()) and passes this one to the kernel, for which the running program is the emulator."""

KERNEL_ARCH = "/proc/sys/kernel/arch"
"""What uname(2) says to a program of the kernel's own kind (kernel/utsname_sysctl.c); older kernels have no such
file."""

FAMILIES = (
    ("x86", r"x86_64|i[3-6]86"),
    ("arm", r"aarch64(_be)?|arm.*"),
    *((name, f"{name}.*") for name in ("loongarch", "mips", "parisc", "ppc", "riscv", "s390", "sparc")),
)
"""Machines whose programs one kernel can run: those of 32 and of 64 bits."""


@cache
def emulator() -> str | None:
    """What answers this process in place of the kernel, in words; None where there is no sign of an emulator."""
    try:
        shown, real = os.readlink(SELF_EXE), os.readlink(SELF_EXE_TOO)
    except OSError:
        shown = real = ""
    return emulator_of(shown, real, os.uname().machine, read_line(KERNEL_ARCH))


def emulator_of(shown: str, real: str, machine: str, kernel_arch: str | None) -> str | None:
    """The same from what the two paths lead to, uname(2)'s machine, and the kernel's own (None: cannot be read)."""
    if shown != real:
        return f"the emulator {os.path.basename(real)}"
    if kernel_arch is not None and family(kernel_arch) != family(machine):
        return f"an emulator of {machine} on {kernel_arch}"
    return None


def family(machine: str) -> str:
    return next((name for name, pattern in FAMILIES if re.fullmatch(pattern, machine)), machine)
