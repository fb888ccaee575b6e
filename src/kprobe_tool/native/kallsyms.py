# SPDX-License-Identifier: GPL-2.0-or-later
"""/proc/kallsyms: which symbols the kernel has, and where (kernel/kallsyms.c)."""

from __future__ import annotations

import errno as errnos
import os
from collections.abc import Set

KALLSYMS = "/proc/kallsyms"
KALLSYMS_LINE_MAX = 1024


def kernel_symbols(names: Set[str]) -> dict[str, str | None]:
    """Which of these symbols exist, and in which module (None: the kernel itself), from /proc/kallsyms.

    The names are readable by every user; the addresses, which are not, play no part here. Raises OSError; ENODATA for
    an empty file, as sandboxes put in its place: what is not in there says nothing.
    """
    found: dict[str, str | None] = {}
    line = None
    with open(KALLSYMS, encoding="utf-8", errors="backslashreplace") as file:
        for line in file:
            words = line[:KALLSYMS_LINE_MAX].split()
            if len(words) >= 3 and words[2] in names:
                found[words[2]] = words[3].strip("[]") if len(words) > 3 else None
    if line is None:
        raise OSError(errnos.ENODATA, os.strerror(errnos.ENODATA), KALLSYMS)
    return found


def function_addresses(names: Set[str]) -> dict[str, list[int]]:
    """Where the kernel's own functions of these names begin; several can have one name. Raises OSError.

    Empty where addresses are hidden (kernel.kptr_restrict, or no CAP_SYSLOG).
    """
    found: dict[str, list[int]] = {}
    with open(KALLSYMS, encoding="utf-8", errors="backslashreplace") as file:
        for line in file:
            words = line[:KALLSYMS_LINE_MAX].split()
            if len(words) == 3 and words[2] in names and words[1] in {"t", "T"} and int(words[0], 16):
                found.setdefault(words[2], []).append(int(words[0], 16))
    return found


NI_SYSCALL = "sys_ni_syscall"
"""What stands behind every system call that is not there (kernel/sys_ni.c)."""


def implemented_symbols(names: Set[str]) -> frozenset[str]:
    """Those of these symbols that the kernel implements. Raises OSError.

    A system call that is not configured has a symbol all the same: a weak one, or one at the address of
    sys_ni_syscall, where addresses are to be seen.
    """
    found: dict[str, int] = {}
    ni_syscall = 0
    with open(KALLSYMS, encoding="utf-8", errors="backslashreplace") as file:
        for line in file:
            words = line[:KALLSYMS_LINE_MAX].split()
            if len(words) < 3:
                continue
            if words[2] in names and words[1] not in {"W", "w"}:
                found[words[2]] = int(words[0], 16)
            elif words[2] == NI_SYSCALL:
                ni_syscall = int(words[0], 16)
    return frozenset(name for name, address in found.items() if address == 0 or address != ni_syscall)


def address_of(symbol: str) -> int:
    """Where the kernel has a symbol, from /proc/kallsyms.

    Raises OSError; LookupError where the kernel has no such symbol or hides its address (kptr_restrict).
    """
    with open(KALLSYMS, encoding="utf-8", errors="backslashreplace") as file:
        for line in file:
            words = line.split()
            if len(words) >= 3 and words[2] == symbol:
                address = int(words[0], 16)
                if address:
                    return address
                raise LookupError(f"the kernel hides the address of {symbol} (kptr_restrict)")
    raise LookupError(f"/proc/kallsyms has no {symbol}")
