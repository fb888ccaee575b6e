# SPDX-License-Identifier: GPL-2.0-or-later
"""One finding for a host: the worst of its controllers', and whom it concerns."""

from __future__ import annotations

from pathlib import Path

from kprobe_tool.checks import Status
from kprobe_tool.errors import Error
from kprobe_tool.probes.nvme import checks
from kprobe_tool.probes.nvme.ask import survey_host
from kprobe_tool.probes.nvme.controllers import Problem

from . import trees
from .surveys import NEWEST, NOT_READ, PATHS, STALE, make_controller, survey_of


def test_the_worst_counts(tmp_path: Path) -> None:
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-two-paths")))
    finding = checks.worst_finding(PATHS, survey)
    assert (finding.status, finding.reason[:6]) == (Status.AFFECTED, "nvme2:")
    evidence = finding.evidence["controllers"]
    assert isinstance(evidence, dict)
    assert list(evidence) == ["nvme2"]
    assert "errors" not in finding.evidence


def test_a_host_without_controllers_is_not_applicable(tmp_path: Path) -> None:
    (tmp_path / "class").mkdir()
    assert checks.worst_finding(PATHS, survey_host(str(tmp_path))).status is Status.NOT_APPLICABLE


def test_unknown_is_worse_than_ok() -> None:
    finding = checks.worst_finding(STALE, survey_of(make_controller(name="nvme1", transport="pcie"), NOT_READ))
    assert (finding.status, finding.settle is None) == (Status.UNKNOWN, False)


def test_what_could_not_be_read_is_evidence() -> None:
    failed = survey_of(NOT_READ, errors=(Error("nvme0: attributes", "not read within 3 s"),))
    assert checks.worst_finding(STALE, failed).evidence["errors"] == ["nvme0: attributes: not read within 3 s"]


def test_those_that_share_it_are_counted_and_each_has_its_reason() -> None:
    other = make_controller(name="nvme2", transport=None, problems=(Problem("nvme2: attributes", "not read", 110),))
    assert checks.worst_finding(STALE, survey_of(NOT_READ)).reason.count("more)") == 0
    finding = checks.worst_finding(STALE, survey_of(make_controller(name="nvme1", transport="pcie"), NOT_READ, other))
    assert finding.reason.endswith(" (and 1 more)")
    shared = finding.evidence["controllers"]
    assert isinstance(shared, dict)
    assert [*shared] == [NOT_READ.name, "nvme2"]
    assert all(each["reason"] for each in shared.values())


def test_this_host_is_read_once() -> None:
    assert checks.survey_once() is checks.survey_once()
    assert checks.check(PATHS) == checks.worst_finding(PATHS, checks.survey_once())
