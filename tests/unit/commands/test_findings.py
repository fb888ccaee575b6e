# SPDX-License-Identifier: GPL-2.0-or-later
"""Exit codes of what was found."""

import pytest

from kprobe_tool.checks import CHECKS, Check, Finding, Method, Severity, Status
from kprobe_tool.commands.findings import FailOn, exit_code
from kprobe_tool.errors import ExitCode

OK, AFFECTED = Finding(Status.OK, "r"), Finding(Status.AFFECTED, "r")
UNKNOWN = Finding(Status.UNKNOWN, "r", settle="s")
ABSENT = Finding(Status.NOT_APPLICABLE, "r", Method.CONFIG)
of_severity = {severity: next(check for check in CHECKS if check.severity is severity) for severity in Severity}
LOW, MEDIUM, HIGH = (of_severity[severity] for severity in (Severity.LOW, Severity.MEDIUM, Severity.HIGH))


@pytest.mark.parametrize(
    ("found", "codes"),
    [
        ([], "0000 00"),
        ([(HIGH, OK), (LOW, ABSENT)], "0000 00"),
        ([(LOW, OK), (LOW, AFFECTED)], "0011 00"),
        ([(LOW, AFFECTED), (MEDIUM, AFFECTED)], "0111 00"),
        ([(HIGH, AFFECTED), (HIGH, UNKNOWN)], "1111 00"),
        ([(HIGH, UNKNOWN), (MEDIUM, OK)], "0003 00"),
        ([(HIGH, UNKNOWN), (LOW, AFFECTED)], "0011 00"),
    ],
)
def test_severities_become_exit_codes(found: list[tuple[Check, Finding]], codes: str) -> None:
    """Of high, medium, low, unknown; and of those that severities do not matter to."""
    levels = [FailOn.HIGH, FailOn.MEDIUM, FailOn.LOW, FailOn.UNKNOWN, FailOn.CHANGED, FailOn.NEVER]
    assert [exit_code(found, level) for level in levels] == [ExitCode(int(code)) for code in codes if code != " "]
