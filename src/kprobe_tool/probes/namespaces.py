# SPDX-License-Identifier: GPL-2.0-or-later
"""Which network namespaces a user means, and which there are."""

from __future__ import annotations

import errno as errnos
import os
import re
from collections.abc import Iterable

from kprobe_tool.errors import Error
from kprobe_tool.native import host, netns
from kprobe_tool.native.netns import Netns

__all__ = ("Netns", "current", "enter_hint", "find_all", "resolve")

NAMES_HINT = "'ip netns list' shows the names"
PID_MAX = 1 << 22
"""PID_MAX_LIMIT of 64-bit kernels (include/linux/threads.h): a larger number can only be an inode."""


def enter_hint(error: OSError) -> str | None:
    """What to do about a namespace that may not be seen or entered."""
    if error.errno not in {errnos.EACCES, errnos.EPERM}:
        return None
    if os.geteuid() != 0:
        return "other namespaces are root's to enter"
    return "it takes CAP_SYS_ADMIN and CAP_SYS_PTRACE over it, which this root lacks"


def current() -> Netns:
    """The namespace this process runs in, with its ip-netns(8) name where it has one."""
    here = netns.current()
    names = {space.identity: space.name for space in netns.list_named()}
    return here._replace(name=names.get(here.identity))


def resolve(spec: str) -> Netns:
    """NAME, PID, PATH, or an inode as ``4026531840`` or ``net:[4026531840]``. Raises Error; never creates one.

    A name wins over a pid of the same spelling, since only the name's owner can have meant it so.
    """
    subject = f"netns '{spec}'"
    if "\0" in spec:
        raise Error(subject, "no name or path holds a NUL")
    try:
        if "/" in spec:
            return netns.from_path(spec)
        if spec not in {"", ".", ".."}:
            try:
                return netns.from_path(f"{netns.NAMED}/{spec}", name=spec)
            except FileNotFoundError:
                pass
    except OSError as error:
        raise Error.from_os(subject, error, hint=enter_hint(error)) from error
    inode = re.fullmatch(r"net:\[(\d{1,20})\]|(\d{8,20})", spec)
    if inode and int(inode[1] or inode[2]) > PID_MAX:
        return by_inode(int(inode[1] or inode[2]), subject)
    if re.fullmatch(r"\d{1,7}", spec):
        try:
            return netns.from_path(f"/proc/{spec}/ns/net", pid=int(spec))
        except FileNotFoundError as error:
            raise Error(f"pid {spec}", "no such process", errno=errnos.ESRCH) from error
        except OSError as error:
            raise Error.from_os(f"pid {spec}", error, hint=enter_hint(error)) from error
    raise Error(subject, errno=errnos.ENOENT, hint=NAMES_HINT)


def by_inode(inode: int, subject: str) -> Netns:
    spaces, _ = find_all()
    for space in spaces:
        if space.inode == inode:
            return space
    raise Error(
        subject, "no namespace with this inode is visible", errno=errnos.ENOENT, hint="'lsns -t net' shows some"
    )


def find_all() -> tuple[list[Netns], list[Error]]:
    """All network namespaces that can be found, each once, and what kept others from being seen.

    Found by name, process, open file, mount and listns(2); ours first, then in the order of their inodes.
    Namespaces that only a socket keeps alive cannot be found by anyone.
    """
    hidden: list[int] = []
    found: dict[tuple[int, int], Netns] = {}
    here = netns.current()
    sources: tuple[Iterable[Netns], ...] = (
        [here],
        netns.list_named(),
        netns.list_by_process(hidden),
        netns.list_by_mount(),
        netns.list_by_open_file(),
        netns.list_by_listns(),
    )
    for source in sources:
        for space in source:
            earlier = found.get(space.identity)
            if earlier is None:
                found[space.identity] = space
            else:
                found[space.identity] = earlier._replace(
                    name=earlier.name or space.name,
                    pid=earlier.pid if earlier.pid is not None else space.pid,
                )
    errors = []
    if hidden:
        number = f"{len(hidden)} {'process' if len(hidden) == 1 else 'processes'}"
        errors.append(
            Error(
                f"network namespaces of {number} of other users",
                errno=errnos.EACCES,
                hint=f"{host.privilege_hint()} to see them",
            )
        )
    return sorted(found.values(), key=lambda space: (space.identity != here.identity, space.inode)), errors
