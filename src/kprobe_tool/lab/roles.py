# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels the guest tests run on, by role.

Packages leave the archive as newer ones come, so a role says what a kernel is wanted for and where it may come
from; offers.py finds the release that serves it today.
"""

from dataclasses import dataclass
from typing import Literal

from kprobe_tool.lab.machines import OWN


@dataclass(frozen=True)
class Role:
    name: str
    series: tuple[int, ...]
    """Upstream version, leading parts only: () is any, (7,) any 7.x, (6, 12) any 6.12.x."""
    suites: tuple[str, ...]
    """Where it may come from. Empty: from any of SUITES."""
    pick: Literal["newest", "oldest"]
    why: str
    candidates: bool = False
    """Release candidates count, too."""
    pin: str | None = None
    """This release, without the machine at its end, serves the role as long as the archive or the cache has it."""
    architecture: str = OWN
    """Debian's name of the machine."""
    precedence: int = 1
    """Who chooses first, where two roles would take the same kernel: the smallest number."""

    def is_pinned(self, release: str) -> bool:
        return release.rpartition("-")[0] == self.pin


SUITES = (
    "bullseye",
    "bullseye-security",
    "bookworm",
    "bookworm-updates",
    "bookworm-security",
    "bookworm-backports",
    "trixie-backports",
    "sid",
    "experimental",
)
"""Every suite that is read."""

ROLES = (
    Role(
        name="newest-5.10",
        series=(5, 10),
        suites=("bullseye", "bullseye-security"),
        pick="newest",
        why="the oldest kernel that anybody still mends; much of what is asked is not in it",
    ),
    Role(
        name="newest-6.1",
        series=(6, 1),
        suites=("bookworm", "bookworm-updates", "bookworm-security"),
        pick="newest",
        why="what hosts that are years old run, with all its fixes",
    ),
    Role(
        name="unfixed-6.12",
        series=(6, 12),
        suites=("bookworm-backports", "bookworm-security"),
        pick="oldest",
        why="the bugs the tool looks for are all in it",
        pin="6.12.43+deb12",
    ),
    Role(
        name="stable",
        series=(),
        suites=("trixie-backports",),
        pick="newest",
        why="what an up-to-date host runs: the newest series but that of the next role",
        precedence=2,
    ),
    Role(
        name="newest",
        series=(),
        suites=(),
        pick="newest",
        why="what is coming",
        candidates=True,
        precedence=0,
    ),
)
"""For this machine, the oldest first."""

OTHER_MACHINES = (
    Role(
        name="arm64",
        series=(6, 1),
        suites=("bookworm", "bookworm-updates", "bookworm-security"),
        pick="newest",
        why="another machine: other numbers of system calls, other registers",
        architecture="arm64",
    ),
    Role(
        name="s390x",
        series=(6, 1),
        suites=("bookworm", "bookworm-updates", "bookworm-security"),
        pick="newest",
        why="big-endian",
        architecture="s390x",
    ),
)
"""Emulated on this one, for whoever asks for them."""


def roles_of(architecture: str) -> tuple[Role, ...]:
    """All kinds of kernels for this machine, and for another what shows that it is one."""
    if architecture == OWN:
        return ROLES
    return tuple(role for role in OTHER_MACHINES if role.architecture == architecture)
