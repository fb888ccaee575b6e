# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel modules: what is loaded, and what an alias would load. Nothing here ever loads one."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MODPROBE_DIRECTORIES = (
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
)
CONFIG_MAX = 1 << 20


def loaded(module: str) -> bool:
    """Whether a module is in the kernel: in /sys/module, or built in, which shows there only with parameters."""
    return os.path.isdir(f"/sys/module/{module}") or module in built_in(os.uname().release)


@cache
def built_in(release: str) -> frozenset[str]:
    """Names of the modules that are part of the kernel image, as far as its package says so (modules.builtin)."""
    try:
        with open(f"/lib/modules/{release}/modules.builtin", encoding="utf-8", errors="backslashreplace") as file:
            paths = file.read(CONFIG_MAX).split()
    except (FileNotFoundError, PermissionError):
        return frozenset()
    return frozenset(os.path.basename(path).removesuffix(".ko").replace("-", "_") for path in paths)


@dataclass(frozen=True)
class AliasTarget:
    """What modprobe would do about an alias, and which file says so.

    ``blocked`` is the line that keeps it from loading the module (blacklist, or install of something else).
    """

    module: str
    source: str
    blocked: str | None


def config_lines() -> Iterator[tuple[str, list[str]]]:
    """(file, words) of each line in modprobe.d(5); a file hides those of its name in later directories."""
    seen = set()
    for directory in MODPROBE_DIRECTORIES:
        for path in sorted(Path(directory).glob("*.conf")):
            if path.name in seen:
                continue
            seen.add(path.name)
            try:
                with open(path, encoding="utf-8", errors="backslashreplace") as file:
                    content = file.read(CONFIG_MAX)
            except (FileNotFoundError, PermissionError):
                continue
            for line in content.replace("\\\n", " ").splitlines():
                words = line.split()
                if words and not words[0].startswith("#"):
                    yield str(path), words


def alias_target(alias: str, release: str) -> AliasTarget | None:
    """What ``modprobe ALIAS`` would load into kernel ``release``, or None when no alias names a module.

    Reads modules.alias and modprobe.d as modprobe does; runs nothing.
    """
    configuration = list(config_lines())
    found: tuple[str, str] | None = None
    for source, words in configuration:
        if words[0] == "alias" and len(words) == 3 and fnmatch.fnmatchcase(alias, words[1]):
            found = (words[2], source)
            break
    else:
        path = f"/lib/modules/{release}/modules.alias"
        try:
            with open(path, encoding="utf-8", errors="backslashreplace") as file:
                for line in file:
                    words = line.split()
                    if len(words) == 3 and words[0] == "alias" and fnmatch.fnmatchcase(alias, words[1]):
                        found = (words[2], path)
                        break
        except (FileNotFoundError, PermissionError):
            return None
    if found is None:
        return None
    module, source = found
    blocked = None
    for path, words in configuration:
        named = len(words) > 1 and words[1].replace("-", "_") == module.replace("-", "_")
        if named and (words[0] == "blacklist" or (words[0] == "install" and len(words) > 2)):
            blocked = f"{' '.join(words)} ({path})"
            break
    if module == "off":
        blocked = f"alias {alias} off ({source})"
    return AliasTarget(module, source, blocked)
