# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands behind a message: the type that those who look for causes return."""

from __future__ import annotations

from dataclasses import dataclass

from kprobe_tool.probes.verifier.diagnosis import CauseClass


@dataclass(frozen=True)
class Cause:
    """A reason and a suggestion in place of those of the table, whose fault it is, and what in the log says so.

    A ``suggestion`` of None leaves that of the table.
    """

    reason: str
    suggestion: str | None = None
    cause_class: CauseClass = CauseClass.UNKNOWN
    evidence: str | None = None
