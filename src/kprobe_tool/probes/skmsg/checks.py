# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks that audit runs: each some of the cases, on all sockets."""

from __future__ import annotations

from collections.abc import Sequence

from kprobe_tool.checks import Finding, Method, Status
from kprobe_tool.probes.skmsg.experiment import CopyBitExperiment, run_experiment
from kprobe_tool.probes.skmsg.judge import CaseOutcome, Result, controls_row, results, results_of_check, statement


def check(check_id: str) -> Finding:
    """What the experiment, which is run once for all of them, says about one check."""
    return finding(run_experiment(), check_id)


def names(found: Sequence[Result]) -> str:
    return ", ".join(f"{result.case.name} on {result.socket}" for result in found)


def finding(experiment: CopyBitExperiment, check: str) -> Finding:
    """The worst of the check's cases; what was refused by the kernel is as good as what was done right."""
    found = results_of_check(results(experiment), check)
    by_outcome = {outcome: [result for result in found if result.outcome is outcome] for outcome in CaseOutcome}
    evidence = {
        "results": [
            {
                "test": result.case.name,
                "socket": result.socket.value,
                "outcome": result.outcome.value,
                "reason": result.reason,
            }
            for result in found
        ],
        "controls": controls_row(experiment),
        "statement": statement(experiment),
    }
    affected, open_ = by_outcome[CaseOutcome.AFFECTED], by_outcome[CaseOutcome.UNKNOWN]
    if affected:
        reason = f"{affected[0].reason}: {names(affected)}"
        return Finding(Status.AFFECTED, reason, evidence=evidence)
    if open_:
        reason = f"{open_[0].reason}: {names(open_)}"
        return Finding(Status.UNKNOWN, reason, evidence=evidence, settle=open_[0].settle)
    kept, closed = by_outcome[CaseOutcome.OK], by_outcome[CaseOutcome.CLOSED]
    if kept or closed:
        reasons = [f"{kept[0].reason}: {names(kept)}"] if kept else []
        reasons += [closed[0].reason] if closed else []
        return Finding(Status.OK, "; ".join(reasons), evidence=evidence)
    method = Method.PROBE if any(result.run for result in found) else Method.CONFIG
    reason = "; ".join(dict.fromkeys(result.reason for result in found))
    return Finding(Status.NOT_APPLICABLE, reason, method, evidence)
