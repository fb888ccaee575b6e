# SPDX-License-Identifier: GPL-2.0-or-later
"""/proc: which protocols are registered, who holds a socket."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Set
from typing import NamedTuple

from kprobe_tool.native.libc import text


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


def unescape_mount(field: str) -> str:
    """A path of /proc/PID/mountinfo: blank, tab, newline and backslash are octal there (fs/proc_namespace.c)."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), field)
