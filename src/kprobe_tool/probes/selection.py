# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks by the names that people give: ids, systems, CVE numbers."""

from __future__ import annotations

from collections.abc import Sequence

from kprobe_tool.checks import CHECKS, Check
from kprobe_tool.errors import Error
from kprobe_tool.names import require_name

LIST = "'kprobe-tool audit --list' shows them"


def select(only: Sequence[str], skip: Sequence[str], *, everything: bool = False) -> list[Check]:
    """The checks named in ``only``, or else the default set, or ``everything``; always without those in ``skip``.

    A name is an id, a system, a CVE number, or a comma-separated list of these. Raises Error for a name that is none
    of them, and where nothing is left.
    """
    included, excluded = (
        {part.strip() for value in values for part in value.split(",") if part.strip()} for values in (only, skip)
    )
    names = dict.fromkeys(name for check in CHECKS for name in names_of(check))
    for name in sorted(included | excluded):
        require_name(name, names, "check, system or CVE", LIST)
    chosen = [
        check
        for check in CHECKS
        if (names_of(check) & included if included else check.default or everything)
        and not names_of(check) & excluded
    ]
    if not chosen:
        raise Error("--only and --skip", "no check is left to run")
    return chosen


def names_of(check: Check) -> set[str]:
    """What a check can be called: its id, its system, the CVEs that it is about."""
    return {check.id, check.system, *(reference for reference in check.references if reference.startswith("CVE-"))}


def find(name: str) -> Check:
    """The check of this id. Raises Error."""
    require_name(name, [check.id for check in CHECKS], "check", LIST)
    return next(check for check in CHECKS if check.id == name)
