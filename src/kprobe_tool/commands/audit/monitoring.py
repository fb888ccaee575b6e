# SPDX-License-Identifier: GPL-2.0-or-later
"""``audit`` for monitoring: gauges for Prometheus, and the lines of a plugin for Nagios and its kin."""

from __future__ import annotations

from datetime import datetime

from kprobe_tool.checks import Severity, Status
from kprobe_tool.commands.audit.run import WAIVED, AuditedCheck, AuditRun, count
from kprobe_tool.commands.findings import FailOn, exit_code
from kprobe_tool.errors import ExitCode, PluginState
from kprobe_tool.report.document import Metric, Plugin


def metrics(audited: AuditRun) -> list[Metric]:
    """One gauge per check and status, 1 for the status it has; and when that was, since old files stay readable."""
    time = datetime.fromisoformat(str(audited.host["time"]))
    return [
        Metric(
            "kprobe_tool_check_status",
            "Whether the check has this status.",
            [
                (
                    {
                        "check": each.check.id,
                        "system": each.check.system,
                        "severity": each.check.severity.value,
                        "status": status.value,
                    },
                    int(each.finding.status is status),
                )
                for each in audited.results
                for status in Status
            ],
        ),
        Metric(
            "kprobe_tool_check_waived",
            "Whether the finding of the check is waived.",
            [({"check": each.check.id}, int(each.bucket == WAIVED)) for each in audited.results],
        ),
        Metric(
            "kprobe_tool_audit_time_seconds", "When the checks began, in Unix time.", [({}, int(time.timestamp()))]
        ),
    ]


def plugin(audited: AuditRun, fail_on: FailOn) -> Plugin:
    """What ``--fail-on`` counts, by severity: an affected check of low severity is a warning."""
    affected = audited.with_bucket(Status.AFFECTED.value)
    unknown = audited.with_bucket(Status.UNKNOWN.value)
    counts = count(audited.results)
    code = exit_code(audited.findings_that_count(), fail_on)
    if code is ExitCode.FOUND:
        low = all(each.check.severity is Severity.LOW for each in affected)
        state, text = PluginState.WARNING if low else PluginState.CRITICAL, f"affected: {names(affected)}"
    elif code is ExitCode.CANNOT_TELL:
        state, text = PluginState.UNKNOWN, f"could not tell: {names(unknown)}"
    else:
        state, text = PluginState.OK, ", ".join(f"{number} {bucket}" for bucket, number in counts.items() if number)
    details = [
        f"{each.check.id}: {each.bucket}: {each.finding.reason}"
        for bucket in (Status.AFFECTED.value, Status.UNKNOWN.value, WAIVED)
        for each in audited.with_bucket(bucket)
    ]
    return Plugin(state, text, {bucket.replace("-", "_"): number for bucket, number in counts.items()}, details)


def names(results: list[AuditedCheck]) -> str:
    return ", ".join(each.check.id for each in results)
