# SPDX-License-Identifier: GPL-2.0-or-later
"""The archive of one day as it was recorded, and as it may become."""

import re
from pathlib import Path

from kprobe_tool.lab.offers import Offer, choose_all, parse_madison

LISTS = Path(__file__).parents[1] / "data/lab"
TODAY = (LISTS / "madison-2026-11-21.txt").read_text(encoding="utf-8")
"""As `apt-cache madison` had it for all kernels of all suites on that day."""
ARM64 = parse_madison((LISTS / "madison-arm64-2026-11-22.txt").read_text(encoding="utf-8"))
"""The same for another machine, with the kernels for real time and for pages of 16 KiB."""


def archive(without: str = "^$", more: str = "") -> list[Offer]:
    """The offers of the recorded archive, without the lines that match a pattern, and with more lines."""
    lines = [line for line in TODAY.splitlines() if not re.search(without, line)]
    return parse_madison("\n".join(lines) + "\n" + more)


def roles_served(offers: list[Offer]) -> dict[str, str]:
    """The release that serves each role."""
    return {role: k.release.rpartition("-")[0] for k in choose_all(offers) for role in k.roles}


def join_notes(offers: list[Offer]) -> str:
    return "\n".join(note for kernel in choose_all(offers) for note in kernel.notes)


def madison_lines(package: str, version: str, suite: str) -> str:
    return "".join(
        f"linux-{part}-{package} | {version} | http://mirror.example/debian {suite}/main amd64 Packages\n"
        for part in ("binary", "image", "modules")
    )
