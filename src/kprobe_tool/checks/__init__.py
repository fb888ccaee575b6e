# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of all checks, one file of rows per system.

The table is data: help, ``audit --list``, ``explain``, JSON and the man page all come from it. The function behind a
row is named, not imported, so that reading the table costs nothing. CONTRIBUTING.md says what else a new check takes.
"""

from kprobe_tool.checks import extensible_structs, nvme, rds, skmsg
from kprobe_tool.checks.model import Check, Finding, Method, Needs, Root, Severity, Status, evaluate

__all__ = ["CHECKS", "SYSTEMS", "Check", "Finding", "Method", "Needs", "Root", "Severity", "Status", "evaluate"]

CHECKS: tuple[Check, ...] = (*rds.CHECKS, *extensible_structs.CHECKS, *nvme.CHECKS, *skmsg.CHECKS)
SYSTEMS: tuple[str, ...] = tuple(dict.fromkeys(check.system for check in CHECKS))
