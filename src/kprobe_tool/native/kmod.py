# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel modules: what is loaded, and what an alias would load. Nothing here ever loads one."""

from __future__ import annotations

import errno as errnos
import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from kprobe_tool.native.host import PROC_PID_INIT_INO
from kprobe_tool.native.libc import announce

MODPROBE_DIRECTORIES = (
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
)
MODULES = "/lib/modules"
CONFIG_MAX = 1 << 20
PROC = "/proc"
WILDCARD = re.compile(r"[*?[]")


def is_loaded(module: str) -> bool | None:
    """Whether a module is in the kernel: in /sys/module, or built in, which shows there only with parameters.

    None where it may be built in and modules.builtin, which would say so, cannot be read (in a container, say).
    """
    announce("look for /sys/module/%s", module)
    if os.path.isdir(f"/sys/module/{module}"):
        return True
    names = built_in(os.uname().release)
    return None if names is None else module in names


@cache
def built_in(release: str) -> frozenset[str] | None:
    """Names of the modules that are part of the kernel image; None where modules.builtin cannot be read."""
    try:
        with open(f"{MODULES}/{release}/modules.builtin", encoding="utf-8", errors="backslashreplace") as file:
            paths = file.read(CONFIG_MAX).split()
    except (FileNotFoundError, PermissionError):
        return None
    return frozenset(os.path.basename(path).removesuffix(".ko").replace("-", "_") for path in paths)


def on_disk(module: str, release: str) -> bool:
    """Whether modprobe would find this module for kernel ``release``: modules.dep has a line for each.

    Without modules.dep it finds none. Raises OSError where there is one that cannot be read: then nobody knows.
    """
    try:
        with open(f"{MODULES}/{release}/modules.dep", encoding="utf-8", errors="backslashreplace") as file:
            files = [os.path.basename(line.partition(":")[0]) for line in file]
    except (FileNotFoundError, NotADirectoryError):
        return False
    return any(name.partition(".")[0].replace("-", "_") == module for name in files)


class AliasTarget(NamedTuple):
    """What modprobe would do about an alias, and which file says so.

    ``blocked`` is what keeps it from loading the module: a line of modprobe.d (blacklist, or install of something
    else), or a setting of the kernel.
    """

    module: str
    source: str
    blocked: str | None


def in_container() -> bool:
    """Whether this process is in a pid namespace of its own, and its modprobe.d not the one that counts: modprobe
    runs on the host (kernel/module/kmod.c)."""
    return os.stat("/proc/self/ns/pid").st_ino != PROC_PID_INIT_INO


def names_in(directory: str) -> list[str]:
    """The files of modprobe.d(5) in a directory, in order; none where there is no such directory for us."""
    try:
        return sorted(name for name in os.listdir(directory) if name.endswith(".conf"))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def config_lines() -> Iterator[tuple[str, list[str]]]:
    """(file, words) of each line in modprobe.d(5); a file hides those of its name in later directories.

    Nothing in a container. A file that we may not read is one line without words: modprobe, which is root's, may.
    """
    if in_container():
        return
    seen = set()
    for directory in MODPROBE_DIRECTORIES:
        for name in names_in(directory):
            if name in seen:
                continue
            seen.add(name)
            path = f"{directory}/{name}"
            try:
                with open(path, encoding="utf-8", errors="backslashreplace") as file:
                    content = file.read(CONFIG_MAX)
            except FileNotFoundError:
                continue
            except PermissionError:
                yield path, []
                continue
            for line in content.replace("\\\n", " ").splitlines():
                words = line.split()
                if words and not words[0].startswith("#"):
                    yield path, words


def alias_target(alias: str, release: str) -> AliasTarget | None:
    """What ``modprobe ALIAS`` would load into kernel ``release``, or None when no alias names a module.

    Reads modules.alias and modprobe.d as modprobe does; runs nothing. Raises OSError where modules.alias, or a file
    that may name the alias as well, cannot be read and nothing else settles it: then nobody knows.
    """
    blocked = loading_disabled_by()
    configuration = list(config_lines())
    source = f"{MODULES}/{release}/modules.alias"
    for path, words in configuration:
        if is_alias(words, alias):
            module, source = words[2], path
            break
    else:
        try:
            with open(source, encoding="utf-8", errors="backslashreplace") as file:
                found = next((words[2] for words in map(str.split, file) if is_alias(words, alias)), None)
        except OSError:
            if blocked is None:
                raise
            return None
        if found is None:
            unread = next((path for path, words in configuration if not words), None)
            if unread is not None and blocked is None:
                raise PermissionError(errnos.EACCES, os.strerror(errnos.EACCES), unread)
            return None
        module = found
    for path, words in configuration:
        named = len(words) > 1 and words[1].replace("-", "_") == module.replace("-", "_")
        if named and (words[0] == "blacklist" or (words[0] == "install" and len(words) > 2)):
            blocked = f"{' '.join(words)} ({path})"
            break
    if module == "off":
        blocked = f"alias {alias} off ({source})"
    return AliasTarget(module, source, blocked)


def is_alias(words: Sequence[str], alias: str) -> bool:
    """Whether the words of a line give this alias to a module."""
    if len(words) != 3 or words[0] != "alias":
        return False
    # modules.alias has 25,000 patterns: most cannot match by how they begin, which costs nothing to see.
    return alias.startswith(WILDCARD.split(words[1], maxsplit=1)[0]) and fnmatch.fnmatchcase(alias, words[1])


def loading_disabled_by() -> str | None:
    """What keeps the kernel from loading any module at anybody's call, if there is something."""
    # A /proc mounted with subset=pid (systemd's ProcSubset=) has neither, whatever the kernel was built with.
    if not os.path.exists(f"{PROC}/modules") and os.path.isdir(f"{PROC}/sys/kernel"):
        return "this kernel is built without modules"
    for name, value in (("modules_disabled", "1"), ("modprobe", "")):
        try:
            with open(f"{PROC}/sys/kernel/{name}", encoding="utf-8", errors="backslashreplace") as file:
                if file.read(4096).strip() == value:
                    return f"kernel.{name} is {value or 'empty'}"
        except (FileNotFoundError, PermissionError):
            continue
    return None
