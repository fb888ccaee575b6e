# SPDX-License-Identifier: GPL-2.0-or-later
"""How ``audit --list`` and ``explain`` show the rows of the table of checks."""

from __future__ import annotations

from collections.abc import Sequence

from kprobe_tool.checks import Check
from kprobe_tool.report.document import Column, Row

CHECK_COLUMNS = (
    Column("ID", "id"),
    Column("SYSTEM", "system", wide=True),
    Column("SEVERITY", "severity"),
    Column("ROOT", "root"),
    Column("NEEDS", "needs", wrap=True),
    Column("TITLE", "title", wide=True),
)
REFERENCE_COLUMNS = (
    Column("ID", "id"),
    Column("REFERENCE", "reference", wrap=True),
)


def check_row(check: Check) -> Row:
    """The JSON object of one check."""
    return {
        "id": check.id,
        "title": check.title,
        "system": check.system,
        "severity": check.severity.value,
        "root": check.needs.root.value,
        "modules": list(check.needs.modules),
        "needs": str(check.needs),
        "meaning": check.meaning,
        "look_for": check.look_for,
        "remedy": check.remedy,
        "references": list(check.references),
    }


def reference_rows(checks: Sequence[Check]) -> list[Row]:
    """A row for each reference of each check, for people."""
    return [{"id": check.id, "reference": reference} for check in checks for reference in check.references]
