# SPDX-License-Identifier: GPL-2.0-or-later
"""/proc/kallsyms: which symbols the kernel has, and where (kernel/kallsyms.c)."""

from __future__ import annotations

import errno as errnos
import os
import re
from collections.abc import Iterator, Set
from typing import NamedTuple

from kprobe_tool.native.libc import text

KALLSYMS = "/proc/kallsyms"
KALLSYMS_LINE_MAX = 1024
CHUNK = 1 << 18
"""Bytes that are searched at a time. There are 200,000 lines; to split each costs four times what searching does."""


class KernelSymbol(NamedTuple):
    """A line of the file.

    ``address`` is 0 where it is hidden (kernel.kptr_restrict, or no CAP_SYSLOG), ``kind`` the letter of nm(1) and
    ``module`` None for the kernel's own.
    """

    name: str
    address: int
    kind: str
    module: str | None


def symbols(names: Set[str]) -> Iterator[KernelSymbol]:
    """The symbols of these names, in the order of the file; several can have one name.

    Raises OSError; ENODATA for an empty file, as sandboxes put in its place: what is not in there says nothing.
    """
    wanted = b"|".join(re.escape(name.encode()) for name in names)
    # What begins with a blank is found ten times faster than what begins with a line.
    search = re.compile(rb" (?:%s)[\t\n]" % wanted)
    read_line = re.compile(rb"([0-9a-f]{1,16}) (\S) (%s)(?:\t\[([^\]\n]*)\])?\n" % wanted)
    rest = b""
    with open(KALLSYMS, "rb") as file:
        while new := file.read(CHUNK):
            data = rest + new
            end = data.rfind(b"\n") + 1
            for hit in search.finditer(data, 0, end):
                line = read_line.match(data, data.rfind(b"\n", 0, hit.start()) + 1, end)
                if line is not None:
                    address, kind, name, module = line.groups()
                    yield KernelSymbol(
                        text(name), int(address, 16), text(kind), None if module is None else text(module)
                    )
            # A line that is longer belongs to nothing that is looked for.
            rest = data[end:][-KALLSYMS_LINE_MAX:]
        if file.tell() == 0:
            raise OSError(errnos.ENODATA, os.strerror(errnos.ENODATA), KALLSYMS)


def kernel_symbols(names: Set[str]) -> dict[str, str | None]:
    """Which of these symbols exist, and in which module (None: the kernel itself).

    The names are readable by every user; the addresses, which are not, play no part here. Raises OSError.
    """
    return {symbol.name: symbol.module for symbol in symbols(names)}


def function_addresses(names: Set[str]) -> dict[str, list[int]]:
    """Where the kernel's own functions of these names begin; several can have one name. Raises OSError.

    Empty where addresses are hidden.
    """
    found: dict[str, list[int]] = {}
    for symbol in symbols(names):
        if symbol.module is None and symbol.kind in {"t", "T"} and symbol.address:
            found.setdefault(symbol.name, []).append(symbol.address)
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
    for symbol in symbols({*names, NI_SYSCALL}):
        if symbol.name == NI_SYSCALL:
            ni_syscall = symbol.address
        elif symbol.kind not in {"W", "w"}:
            found[symbol.name] = symbol.address
    return frozenset(name for name, address in found.items() if address == 0 or address != ni_syscall)


def address_of(name: str) -> int:
    """Where the kernel has a symbol: the first of this name.

    Raises OSError; LookupError where the kernel has no such symbol or hides its address (kptr_restrict).
    """
    symbol = next(symbols({name}), None)
    if symbol is None:
        raise LookupError(f"/proc/kallsyms has no {name}")
    if not symbol.address:
        raise LookupError(f"the kernel hides the address of {name} (kptr_restrict)")
    return symbol.address
