# SPDX-License-Identifier: GPL-2.0-or-later
"""One finding of each check, from what real kernels answered in all of its cases."""

from __future__ import annotations

import json

import pytest

from kprobe_tool.checks import Method, Status
from kprobe_tool.probes.skmsg import checks
from kprobe_tool.probes.skmsg import judge as judge_module
from kprobe_tool.probes.skmsg.cases import CASES, SocketKind
from kprobe_tool.probes.skmsg.judge import CaseOutcome, results

from .test_judge import CLOSED, FIXED, IDS, UNFIXED, load_experiment


@pytest.mark.parametrize(("release", "status"), [(UNFIXED, Status.AFFECTED), (FIXED, Status.OK), (CLOSED, Status.OK)])
@pytest.mark.parametrize("check", IDS)
def test_real_kernels_have_their_verdicts(release: str, status: Status, check: str) -> None:
    finding = checks.finding(load_experiment(release), check)
    assert finding.status is status
    assert finding.method is Method.PROBE
    json.dumps(finding.evidence)


def test_checks_and_tests_belong_together() -> None:
    assert {case.check for case in CASES} == set(IDS)


def test_tcp_alone_gives_a_verdict_where_ktls_is_not_in_use() -> None:
    """The kernel copies on TCP, and kTLS is not in use: the first is an answer, so the verdict is one."""
    done = load_experiment(CLOSED)
    tcp = [run for run in done.runs if run.socket is SocketKind.TCP]
    finding = checks.finding(
        done._replace(runs=tcp, controls=None, no_tls="why", tls_loaded=False), "skmsg-push-pop-copy"
    )
    assert (finding.status, finding.method) == (Status.NOT_APPLICABLE, Method.PROBE)


def test_one_reason_tells_what_was_kept_and_what_is_refused() -> None:
    """The first case that was kept speaks for all of them; what the kernel refuses comes after."""
    done = load_experiment(FIXED)
    finding = checks.finding(done, "skmsg-push-pop-copy")
    found = [each for each in results(done) if each.case.check == "skmsg-push-pop-copy"]
    kept = [each for each in found if each.outcome is CaseOutcome.OK]
    assert len({each.reason for each in kept}) > 1, "or the first could be any"
    assert finding.reason.startswith(f"{kept[0].reason}: {checks.names(kept)}; ")
    assert finding.reason.endswith(judge_module.CLOSED)
