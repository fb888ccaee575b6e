# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool audit``: all checks, one verdict each."""

from __future__ import annotations

from collections import Counter

import click

from kprobe_tool.checks import CHECKS, Finding, Status, evaluate
from kprobe_tool.commands.options import output_option
from kprobe_tool.commands.verdicts import FINDING_COLUMNS, exit_code, fail_on_option, finding_row
from kprobe_tool.errors import ExitCode
from kprobe_tool.probes import host
from kprobe_tool.report.document import Document, Table
from kprobe_tool.report.output import Output, emit


def count_line(findings: list[Finding]) -> str:
    """How many of each outcome, every outcome named: what was not told must be seen too."""
    counts = Counter(finding.status for finding in findings)
    return ", ".join(f"{counts[status]} {status.value}" for status in Status)


@click.command()
@output_option()
@fail_on_option("affected")
def command(output: Output, fail_on: str) -> ExitCode:
    """Run all checks and print one verdict for each.

    Verdicts are ok, affected, not-applicable and unknown. No check loads a module or leaves anything behind. Each
    says what it saw; an unknown says what would settle it.
    """
    findings = [(check, evaluate(check)) for check in CHECKS]
    rows = [finding_row(check, finding) for check, finding in findings]
    summary = [count_line([finding for _, finding in findings])]
    summary += [f"{check.id}: to settle it: {finding.settle}" for check, finding in findings if finding.settle]
    emit(Document("audit", host.identity(), [Table(FINDING_COLUMNS, rows)], summary=summary), output)
    return exit_code([finding for _, finding in findings], fail_on)
