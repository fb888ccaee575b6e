# SPDX-License-Identifier: GPL-2.0-or-later
"""The versions of what this tool is made of, for whoever reports a bug."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable

from kprobe_tool import __version__
from kprobe_tool.errors import Error
from kprobe_tool.native import bcc, libbpf

LIBRARIES = ("click", "pyroute2", "tabulate")


def versions() -> dict[str, str | None]:
    """Version by name; None for what is not installed."""
    found: dict[str, str | None] = {
        "kprobe-tool": __version__,
        "kernel": os.uname().release,
        "python": platform.python_version(),
    }
    for name in LIBRARIES:
        found[name] = library_version(name)
    found["bcc"] = version_or_none(lambda: bcc.load().version)
    found["libbpf"] = version_or_none(libbpf.version)
    return found


def version_or_none(version: Callable[[], str]) -> str | None:
    try:
        return version()
    except Error:
        return None


def library_version(name: str) -> str | None:
    """Of an installed distribution of Python."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
