# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool rds-info --leak-check``: what each option shows across network namespaces, and what that means."""

from __future__ import annotations

from kprobe_tool.checks import CHECKS, evaluate
from kprobe_tool.commands.findings import FINDING_COLUMNS, FailOn, exit_code, finding_row
from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.probes import host
from kprobe_tool.report.document import Column, Document, Row, Table
from kprobe_tool.report.output import Output, emit

OUTCOME_COLOURS = {"leaks": "red", "count-leaks": "red", "isolated": "green", "inconclusive": "yellow"}


def outcome_colour(value: object) -> str | None:
    return OUTCOME_COLOURS.get(str(value))


LEAK_COLUMNS = (
    Column("OPTNAME", "optname"),
    Column("OUTCOME", "outcome", colour=outcome_colour),
    Column("SEEN", "rows_seen", right=True),
    Column("OWN", "rows_own", right=True),
    Column("PROBE", "count_probe", right=True),
    Column("CANARY", "canary_rows", right=True),
    Column("ERRNO", "errno", wide=True),
)


def run_leak_check(output: Output, fail_on: FailOn) -> ExitCode:
    """``--leak-check``: the options one by one, and the checks that audit runs."""
    from kprobe_tool.probes.rds.experiment import run_experiment
    from kprobe_tool.probes.rds.judge import judge_options, second_witness
    from kprobe_tool.probes.rds.presence import presence

    status = presence()
    findings = [(check, evaluate(check)) for check in CHECKS if check.system == "rds"]
    rows = [finding_row(check, finding) for check, finding in findings]
    options: list[Row] = []
    errors = []
    summary = []
    if status.registered:
        try:
            experiment = run_experiment()
            options = [result.as_dict() for result in judge_options(experiment)]
            summary = [second_witness(experiment.symbols)]
        except Error as error:
            errors.append(error)
    document = Document(
        "rds-info-leak-check",
        host.identity(),
        [Table(LEAK_COLUMNS, options, title="RDS_INFO options")] if options else [],
        errors,
        more={"rds": status.evidence(), "findings": rows},
        aside=[Table(FINDING_COLUMNS, rows, title="Verdicts")],
        summary=summary,
    )
    emit(document, output)
    # Not rds-bind-netns: every kernel so far shares the bind table, so scripts that ask for leaks would never get 0.
    return exit_code([row for row in findings if row[0].id != "rds-bind-netns"], fail_on)
