# SPDX-License-Identifier: GPL-2.0-or-later
"""/proc: which protocols are registered, who holds a socket, what the kernel's symbols are."""

from __future__ import annotations

import errno as errnos
import os
import re
from collections.abc import Iterator, Set
from typing import NamedTuple

from kprobe_tool.native.libc import text

KALLSYMS = "/proc/kallsyms"
KALLSYMS_LINE_MAX = 1024


class Process(NamedTuple):
    """A process by number and name (``comm``, at most 15 bytes, chosen by the process itself).

    ``netns`` is the inode of its network namespace, None where that may not be seen.
    """

    pid: int
    comm: str
    netns: int | None = None


def protocols() -> frozenset[str]:
    """Names of the registered socket protocols, from /proc/net/protocols (net/core/sock.c).

    Readable by everyone and the same in every network namespace. Raises OSError.
    """
    with open("/proc/net/protocols", "rb") as file:
        return frozenset(text(line.split(None, 1)[0]) for line in file.readlines()[1:] if line.strip())


def pids() -> Iterator[int]:
    """The processes that exist right now and that /proc shows to us, in numerical order."""
    yield from sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def process(pid: int) -> Process:
    """From /proc/PID/comm and /proc/PID/ns/net. Raises FileNotFoundError or ProcessLookupError when it is gone."""
    with open(f"/proc/{pid}/comm", "rb") as file:
        comm = text(file.read(64).rstrip(b"\n"))
    try:
        netns = os.stat(f"/proc/{pid}/ns/net").st_ino
    except PermissionError:
        netns = None
    return Process(pid, comm, netns)


def fd_targets(pid: int) -> Iterator[tuple[str, str]]:
    """(number, where it points to) of each open file of a process, the number being its name in /proc/PID/fd.

    Nothing for a process that is gone or not ours to look at: then its files belong to nobody we can name.
    """
    try:
        directory = os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return
    try:
        # Relative to the directory: the lookup from / would be a third of the cost, for up to a million files.
        for name in os.listdir(directory):
            try:
                yield name, os.readlink(name, dir_fd=directory)
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return
    finally:
        os.close(directory)


def socket_holders(inodes: Set[int]) -> dict[int, list[Process]]:
    """Which processes hold the sockets with these inodes, lowest pid first; unknown ones are missing."""
    holders: dict[int, list[Process]] = {}
    if not inodes:
        return holders
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    for pid in pids():
        found = {wanted[target] for _, target in fd_targets(pid) if target in wanted}
        if found:
            try:
                holder = process(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
            for inode in found:
                holders.setdefault(inode, []).append(holder)
    return holders


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


def unescape_mount(field: str) -> str:
    """A path of /proc/PID/mountinfo: blank, tab, newline and backslash are octal there (fs/proc_namespace.c)."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), field)
