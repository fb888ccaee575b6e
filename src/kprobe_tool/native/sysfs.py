# SPDX-License-Identifier: GPL-2.0-or-later
"""sysfs, below a root directory: /sys itself or a captured copy of it, read in the same way.

A captured tree is somebody else's bytes. Nothing below leads out of the root, symbolic links are followed here and
not by the kernel, only regular files are opened, no more than a limit is read, and only attributes that the caller
named when it opened the tree can be read at all: some attributes of a live sysfs send commands to a device.
"""

from __future__ import annotations

import errno as errnos
import os
import stat
from collections.abc import Set
from itertools import pairwise
from typing import NamedTuple

from kprobe_tool.native.libc import announce, text

LIVE = "/sys"

MAXSYMLINKS = 40
"""include/linux/namei.h"""

ATTRIBUTE_MAX = 65536
"""A show() function writes one page at most, and the largest pages are 64 KiB."""

ENTRIES_MAX = 1 << 16
"""Names read from one directory."""


class CpuList(NamedTuple):
    """CPU numbers in order. ``cut`` says that the kernel had no room for more in the page it wrote."""

    cpus: tuple[int, ...]
    cut: bool = False


class Tree:
    """One sysfs, ``live`` or captured. ``attributes`` are the names that may be read; ``reads`` counts what was.

    Paths are relative to the root, with or without a leading slash. Raises OSError: ENOTDIR where the root is no
    directory; from the methods ENOENT, ENODEV (the device is gone), EACCES, ELOOP (too many symbolic links), EINVAL
    (not a regular file), E2BIG (longer than any attribute).
    """

    def __init__(self, root: str, attributes: Set[str]) -> None:
        self.live = root == LIVE
        self.root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.attributes = attributes
        self.reads = 0
        # The directory resolved last, as queues are read one beside the other: (as asked for, as found).
        self.parent: tuple[str, list[str]] = ("", [])

    def close(self) -> None:
        os.close(self.root)

    def resolve(self, path: str) -> str:
        """The path without symbolic links, relative to the root. '..' stops at the root, '/sys' in a link is it."""
        parent, _, name = path.rpartition("/")
        if parent != self.parent[0]:
            self.parent = (parent, self.follow([], parent))
        return "/".join(self.follow(self.parent[1], name))

    def follow(self, start: list[str], path: str) -> list[str]:
        """The names that lead to ``path``, seen from the directory ``start``, which has no links in it."""
        waiting = list(reversed(path.split("/")))
        done = list(start)
        links = 0
        while waiting:
            name = waiting.pop()
            if name in ("", "."):
                continue
            if name == "..":
                del done[-1:]
                continue
            here = "/".join([*done, name])
            status = os.stat(here, dir_fd=self.root, follow_symlinks=False)
            if not stat.S_ISLNK(status.st_mode):
                done.append(name)
                continue
            links += 1
            if links > MAXSYMLINKS:
                raise OSError(errnos.ELOOP, os.strerror(errnos.ELOOP), path)
            target = os.readlink(here, dir_fd=self.root)
            if target.startswith("/"):
                done.clear()
                target = target.removeprefix("/sys/")
            waiting += reversed(target.split("/"))
        return done

    def names(self, directory: str) -> list[str]:
        """What a directory holds, sorted. Raises E2BIG past ENTRIES_MAX."""
        path = self.resolve(directory) or "."
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.root)
        try:
            found: list[str] = []
            with os.scandir(fd) as entries:
                for entry in entries:
                    if len(found) == ENTRIES_MAX:
                        raise OSError(errnos.E2BIG, "more entries than any sysfs directory has", directory)
                    found.append(entry.name)
        finally:
            os.close(fd)
        return sorted(found)

    def inode(self, directory: str) -> int:
        """The number of a directory. Of a live sysfs it is that of kernfs, which only counts up (fs/kernfs/dir.c
        kernfs_new_node(); 64 bits since v5.5)."""
        return os.stat(self.resolve(directory), dir_fd=self.root, follow_symlinks=False).st_ino

    def read(self, directory: str, attribute: str) -> str:
        """One attribute of a directory, without the newline; bytes that are no UTF-8 as ``\\xNN``.

        ``attribute`` may lie in a subdirectory (``queue/io_poll``). One that was not named to __init__ is a bug of
        the caller and a ValueError.
        """
        if attribute not in self.attributes:
            raise ValueError(f"attribute {attribute} is not on the list of what may be read")
        self.reads += 1
        announce("read %s/%s", directory, attribute)
        # The attribute itself is no link in any sysfs; all before it may be.
        where, _, name = f"{directory}/{attribute}".rpartition("/")
        path = f"{self.resolve(where)}/{name}"
        # An open(2) of a device or a FIFO can have effects, or never return.
        status = os.stat(path, dir_fd=self.root, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errnos.EINVAL, "not a regular file", path)
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.root)
        try:
            raw = os.read(fd, ATTRIBUTE_MAX + 1)
        finally:
            os.close(fd)
        if len(raw) > ATTRIBUTE_MAX:
            raise OSError(errnos.E2BIG, "longer than any attribute", path)
        return text(raw).rstrip()


NR_CPUS_MAX = 1 << 16
"""Far above CONFIG_NR_CPUS of any kernel (8192)."""


def cpu_ranges(value: str) -> tuple[int, ...]:
    """``0-3,8`` as bitmap_print_to_pagebuf() writes it. Raises ValueError on anything else."""
    cpus: list[int] = []
    if not value:
        return ()
    for part in value.split(","):
        first, dash, last = part.partition("-")
        start = number(first)
        end = number(last) if dash else start
        if end < start or (cpus and start <= cpus[-1]):
            raise ValueError(f"{value[:40]!r} is no list of CPUs")
        cpus.extend(range(start, end + 1))
    return tuple(cpus)


PAGE_SIZES = (4096, 16384, 65536)


def cpu_list(value: str) -> CpuList:
    """``0, 1, 2`` of blk_mq_hw_sysfs_cpus_show(). Raises ValueError on anything else.

    That function stops before the number that would reach the last byte but one of the page (block/blk-mq-sysfs.c),
    so a text this close to the size of a page, of whichever machine it is from, may lack some.
    """
    cpus = tuple(number(part) for part in value.split(", ")) if value else ()
    if any(later <= earlier for earlier, later in pairwise(cpus)):
        raise ValueError(f"{value[:40]!r} is no list of CPUs")
    following = len(value) + len(f", {cpus[-1] + 1}") if cpus else 0
    return CpuList(cpus, cut=any(len(value) < page - 1 <= following for page in PAGE_SIZES))


def number(word: str) -> int:
    """A CPU number: ASCII digits only, where int() takes much more."""
    if not (word.isascii() and word.isdigit() and len(word) <= 5) or int(word) >= NR_CPUS_MAX:
        raise ValueError(f"{word[:40]!r} is no CPU")
    return int(word)
