# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks of NVMe controllers: one finding for a host."""

from __future__ import annotations

from functools import cache

from kprobe_tool.checks import Finding, Status
from kprobe_tool.probes.nvme.ask import Survey, survey_host
from kprobe_tool.probes.nvme.judge import judge


@cache
def survey_once() -> Survey:
    """This host, read once for all checks of a process."""
    return survey_host()


RANK = (Status.AFFECTED, Status.UNKNOWN, Status.OK, Status.NOT_APPLICABLE)


def worst_finding(check_id: str, survey: Survey) -> Finding:
    """One finding for a host: the worst of its controllers', with how many share it and each one's reason."""
    if not survey.subjects:
        return Finding(Status.NOT_APPLICABLE, "no NVMe controller")
    found = [(subject.controller.name, judge(check_id, survey, subject)) for subject in survey.subjects]
    worst = next(status for status in RANK if any(each.status is status for _, each in found))
    same = [(name, each) for name, each in found if each.status is worst]
    name, first = same[0]
    others = f" (and {len(same) - 1} more)" if len(same) > 1 else ""
    evidence: dict[str, object] = {
        "controllers": {name: {"reason": each.reason, **each.evidence} for name, each in same}
    }
    if survey.errors:
        evidence["errors"] = [str(error) for error in survey.errors]
    return Finding(worst, f"{name}: {first.reason}{others}", first.method, evidence, first.settle)


def check(check_id: str) -> Finding:
    """What this host's controllers, which are read once for all checks, say about one of them."""
    return worst_finding(check_id, survey_once())
