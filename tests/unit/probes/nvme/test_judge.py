# SPDX-License-Identifier: GPL-2.0-or-later
"""Each finding where it belongs and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobe_tool.checks import CHECKS, Method, Status
from kprobe_tool.probes.nvme import checks, judge
from kprobe_tool.probes.nvme.ask import Survey, survey_host
from kprobe_tool.probes.nvme.request import QueueRequest, RequestSource
from kprobe_tool.probes.nvme.split import Algorithm, Options, connect, deadly_grants

from . import trees
from .surveys import (
    BALANCE,
    COUNT,
    GRANTED,
    NEWEST,
    NOT_READ,
    OFFLINE,
    ONE_EACH,
    OOPS,
    PATHS,
    POLL,
    QUEUES_NOT_READ,
    STALE,
    findings_of,
    hctx,
    make_controller,
    path_of,
    status,
    survey_of,
    with_options,
    with_request,
)

counts = st.integers(1, 40)


# What nobody can tell of a captured tree is unknown; these are affected.
AFFECTED = {
    "pci": {GRANTED},
    "rdma-write": {STALE},
    "rdma-poll": {STALE},
    "rdma-write-poll": {STALE},
    "rdma-write-poll-fewer": {STALE, POLL},
    "rdma-starved": {POLL},
    "tcp-cpu-offlined": {OFFLINE},
    "tcp-cpu-offline-reset": {OFFLINE, COUNT},
}


def affected_checks(survey: Survey, number: int = 0) -> set[str]:
    return {name for name, finding in findings_of(survey, number).items() if finding.status is Status.AFFECTED}


def test_every_check_has_its_judge() -> None:
    rows = {check.id: check for check in CHECKS if check.system == "nvme"}
    assert list(rows) == list(judge.JUDGES)
    for check in rows.values():
        assert callable(getattr(checks, check.function.partition(":")[2]))


@pytest.mark.parametrize("debugfs", [True, False], ids=["root", "nobody"])
@pytest.mark.parametrize(("release", "name"), trees.all_trees())
def test_captured_trees_have_the_findings_that_they_should(
    tmp_path: Path, release: str, name: str, debugfs: bool
) -> None:
    survey = survey_host(str(trees.plant(tmp_path, release, name, debugfs=debugfs)))
    assert affected_checks(survey) == AFFECTED.get(name, set())


def test_the_path_with_fewer_queues_is_affected(tmp_path: Path) -> None:
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-two-paths")))
    assert affected_checks(survey, 1) == {PATHS}
    assert findings_of(survey, 1)[PATHS].evidence == {"paths": {"nvme1": 4, "nvme2": 1}}
    assert findings_of(survey, 0)[PATHS].status is Status.OK


def test_who_granted_fewer_is_told(tmp_path: Path) -> None:
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-fewer")))
    assert findings_of(survey)[GRANTED].status is Status.UNKNOWN
    finding = findings_of(with_options(survey, Options(4), 4, 4))[GRANTED]
    assert (finding.status, finding.evidence["limited_by"]) == (Status.AFFECTED, None)
    for nsqa, by in ((1, "controller"), (2, "controller"), (3, "host"), (128, "host")):
        finding = findings_of(with_options(survey, Options(4), 4, 4, nsqa=nsqa))[GRANTED]
        assert finding.evidence == {"asked": 4, "asked_at_least": 4, "granted": 2, "limited_by": by}
    assert findings_of(with_options(survey, Options(2), 2, 2))[GRANTED].status is Status.OK


@pytest.mark.parametrize(
    ("at_least", "value", "at_most", "expected"),
    [
        (2, 2, 2, Status.OK),
        (3, 3, 3, Status.AFFECTED),
        # What was asked for may be what was granted, or more: no finding.
        (2, 4, 4, Status.UNKNOWN),
        (1, 4, None, Status.UNKNOWN),
        (None, 2, None, Status.UNKNOWN),
        (None, 2, 2, Status.OK),
        # More than was granted was asked for in any case.
        (3, 4, None, Status.AFFECTED),
        (None, None, None, Status.UNKNOWN),
    ],
)
def test_fewer_than_asked_for_is_judged_within_bounds(
    at_least: int | None, value: int | None, at_most: int | None, expected: Status
) -> None:
    request = QueueRequest(value, RequestSource.KCORE, at_least=at_least, at_most=at_most, doubt="perhaps")
    survey = with_request(survey_of(make_controller(queue_count=3)), request)
    finding = findings_of(survey)[GRANTED]
    assert finding.status is expected
    assert ("at least" in finding.reason) == (expected is Status.AFFECTED and not request.exact)
    if expected is Status.UNKNOWN and value is not None:
        assert "perhaps" in finding.reason


def test_controller_that_cannot_be_read_is_unknown() -> None:
    """A reconnect that hangs is what these checks are for: none of them may say that it does not apply."""
    findings = findings_of(survey_of(NOT_READ))
    assert {finding.status for finding in findings.values()} == {Status.UNKNOWN}
    for finding in findings.values():
        assert "not read within 3 s" in finding.reason


@pytest.mark.parametrize("check_id", [STALE, OFFLINE, COUNT, POLL, BALANCE])
def test_queues_that_cannot_be_read_are_unknown(check_id: str) -> None:
    assert status(survey_of(QUEUES_NOT_READ), check_id) is Status.UNKNOWN
    # One queue of four that could not be read must not pass for three mapped.
    torn = make_controller(paths=(ONE_EACH._replace(hctxs=ONE_EACH.hctxs[:3], complete=False),))
    assert status(survey_of(torn), check_id) is Status.UNKNOWN
    # Another namespace of the same controller could be read, and has the same queues.
    both = make_controller(paths=(*torn.paths, ONE_EACH), paths_read=False)
    assert status(survey_of(both), check_id) is status(survey_of(make_controller()), check_id)


@pytest.mark.parametrize("check_id", [STALE, OFFLINE, COUNT, POLL, BALANCE])
def test_without_a_namespace_there_is_nothing_to_ask(check_id: str) -> None:
    assert status(survey_of(make_controller(paths=())), check_id) is Status.NOT_APPLICABLE


@pytest.mark.parametrize("transport", ["pcie", "fc", "loop", "apple-nvme"])
def test_transports_without_the_bugs_are_not_applicable(transport: str) -> None:
    survey = survey_of(make_controller(transport=transport))
    assert status(survey, OOPS) is Status.NOT_APPLICABLE
    assert status(survey, STALE) is Status.NOT_APPLICABLE
    assert status(survey, OFFLINE) is (Status.OK if transport in {"fc", "loop"} else Status.NOT_APPLICABLE)


@pytest.mark.parametrize("check_id", [GRANTED, PATHS])
@pytest.mark.parametrize("fields", [{"cntrltype": "discovery"}, {"cntrltype": "admin"}])
def test_controllers_without_io_queues_are_not_applicable(check_id: str, fields: dict[str, str]) -> None:
    assert status(survey_of(make_controller(queue_count=1, **fields)), check_id) is Status.NOT_APPLICABLE


def test_a_shortfall_oopses_by_the_rule_of_the_kernel(tmp_path: Path) -> None:
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "tcp-all")))
    assert findings_of(survey)[OOPS].status is Status.UNKNOWN
    for fixed in (Algorithm.TRANSPORT, Algorithm.FABRICS):
        finding = findings_of(survey._replace(algorithm=fixed))[OOPS]
        assert (finding.status, finding.method) == (Status.OK, Method.SYMBOL)
    finding = findings_of(survey._replace(algorithm=Algorithm.REQUEST))[OOPS]
    assert (finding.status, finding.method) == (Status.AFFECTED, Method.VERSION)


def test_smaller_grants_that_are_deadly_are_told(tmp_path: Path) -> None:
    """Any grant of two or fewer leaves the counts of "mapped 2/0/2" as they were, beyond the queues there are."""
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-poll")))
    assert findings_of(survey)[STALE].evidence["deadly_grants"] == [1, 2]
    known = findings_of(with_options(survey, Options(2, 0, 2), 4, 4))[STALE]
    assert known.evidence == {"read": 0, "poll": 2, "mapped": 4, "deadly_grants": [1, 2]}
    assert (known.status, known.method) == (Status.AFFECTED, Method.MODEL)
    assert "grants 1-2 instead of 4 queues" in known.reason


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("6.1.0-56-amd64", Status.AFFECTED),
        ("6.18.44", Status.AFFECTED),
        ("7.3.4+deb13-amd64", Status.AFFECTED),
        # Not read, so perhaps fixed.
        ("7.4.0-rc1", Status.UNKNOWN),
        ("8.0.0", Status.UNKNOWN),
        ("later", Status.UNKNOWN),
    ],
)
def test_stale_grants_are_judged_by_the_release(tmp_path: Path, release: str, expected: Status) -> None:
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-poll")))
    assert status(survey._replace(release=release), STALE) is expected


def test_stale_grants_are_unknown_without_types() -> None:
    untyped = ONE_EACH._replace(type_source=None, hctxs=tuple(each._replace(type=None) for each in ONE_EACH.hctxs))
    for check_id in (STALE, BALANCE):
        assert status(survey_of(make_controller(paths=(untyped,))), check_id) is Status.UNKNOWN
    assert status(survey_of(make_controller()), STALE) is Status.OK


def test_no_grant_is_deadly() -> None:
    """One read and one default queue: a grant of one leaves READ at 1 from queue 1 on, and that is deadly; where no
    fewer can be granted nothing is."""
    pair = path_of(hctx(0, 0, 1), hctx(1, 0, 1, kind="read"))
    assert findings_of(survey_of(make_controller(paths=(pair,), queue_count=3)))[STALE].evidence["deadly_grants"] == [
        1
    ]
    alone = path_of(hctx(0, 0, 1, 2, 3, kind="poll"))
    finding = findings_of(survey_of(make_controller(paths=(alone,), queue_count=2)))[STALE]
    assert (finding.status, finding.method) == (Status.OK, Method.MODEL)


@given(cpus=counts, io=counts, write=st.integers(0, 40), poll=st.integers(0, 40), granted=counts)
def test_deadly_grants_need_no_options(*, cpus: int, io: int, write: int, poll: int, granted: int) -> None:
    """The split alone says which grants are deadly, so that nobody has to be root to be warned."""
    # With more write queues than CPUs some hctx can be without a CPU, and such a controller never comes up.
    options = Options(min(io, cpus), min(write, cpus), poll)
    now = connect(Algorithm.FABRICS, options, granted=granted, cpus=cpus)
    if now.io_queues.read or now.io_queues.poll:
        inferred, known = (
            deadly_grants(Algorithm.FABRICS, each, now.io_queues, now.nr_hw_queues, cpus=cpus)
            for each in (judge.fewest_options(now.io_queues), options)
        )
        assert inferred == known


def test_a_path_that_cannot_be_read_is_unknown() -> None:
    """A controller that hangs may be another path with more queues."""
    fewer = make_controller(name="nvme1", queue_count=3)
    assert status(survey_of(make_controller()), PATHS) is Status.NOT_APPLICABLE
    assert status(survey_of(make_controller(), fewer), PATHS) is Status.OK
    assert status(survey_of(fewer, make_controller()), PATHS) is Status.AFFECTED
    assert status(survey_of(make_controller(), NOT_READ._replace(name="nvme2")), PATHS) is Status.UNKNOWN
    half = make_controller(name="nvme2", queue_count=None)
    assert status(survey_of(make_controller(), half), PATHS) is Status.UNKNOWN
    assert status(survey_of(make_controller(), half._replace(subsysnqn="nqn.other")), PATHS) is Status.NOT_APPLICABLE
    # It is affected whatever the third says.
    assert status(survey_of(fewer, make_controller(), half), PATHS) is Status.AFFECTED


def test_an_unreadable_queue_count_is_unknown(tmp_path: Path) -> None:
    directory = trees.controller(tmp_path)
    (directory / "queue_count").unlink()
    survey = survey_host(str(tmp_path))
    assert findings_of(survey)[GRANTED].status is Status.UNKNOWN
    assert len(survey.errors) == 1


def test_numbers_are_told_in_words() -> None:
    assert judge.spans([1, 2, 3, 5, 7, 8]) == "1-3, 5, 7-8"
    assert judge.spans([]) == ""
    assert [judge.count(number, "queue") for number in (0, 1, 2)] == ["0 queues", "1 queue", "2 queues"]


@pytest.mark.parametrize(
    ("nsqa", "words"),
    [
        (None, "'nvme-queues --query-controller' says whose limit it is"),
        (0, "the limit is the controller's: the controller has 0 queues"),
        (2, "the limit is the controller's: the controller has 2 queues"),
        (64, "the limit is the host's: the controller has 64 queues"),
    ],
)
def test_the_reason_tells_whose_limit_it_is(nsqa: int | None, words: str) -> None:
    finding = findings_of(with_options(survey_of(make_controller(queue_count=3)), Options(4), 4, 4, nsqa=nsqa))[
        GRANTED
    ]
    assert finding.reason == f"2 queues granted of 4 asked for, so CPUs share them; {words}"
    assert finding.method is Method.PROBE


def test_only_who_lacks_the_options_is_sent_to_root() -> None:
    """Who has the options from the kernel already is not sent to root again."""
    guess = QueueRequest(4, RequestSource.CONFIGURATION, doubt="perhaps")
    assert findings_of(with_request(survey_of(make_controller()), guess))[GRANTED].settle == judge.ROOT
    known = guess._replace(source=RequestSource.KCORE, options=Options(4))
    assert "a new connection" in str(findings_of(with_request(survey_of(make_controller()), known))[GRANTED].settle)


def test_stale_grants_follow_the_rule_of_the_kernel(tmp_path: Path) -> None:
    """v5.0 maps CPUs to what was asked for: any smaller grant is deadly."""
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-poll")))
    grants = {
        algorithm: findings_of(survey._replace(algorithm=algorithm))[STALE].evidence["deadly_grants"]
        for algorithm in (None, *Algorithm)
    }
    assert grants == {
        None: [1, 2],
        Algorithm.REQUEST: [1, 2, 3],
        Algorithm.TRANSPORT: [1, 2],
        Algorithm.FABRICS: [1, 2],
    }


@pytest.mark.parametrize(
    ("number", "reason"), [(1, "nvme0: {}"), (2, "nvme0: {} (and 1 more)"), (3, "nvme0: {} (and 2 more)")]
)
def test_controllers_that_share_a_verdict_are_counted(number: int, reason: str) -> None:
    controllers = [make_controller(name=f"nvme{each}", transport="pcie") for each in range(number)]
    verdict = checks.worst_finding(OOPS, survey_of(*controllers))
    assert verdict.reason == reason.format("concerns nvme-rdma and nvme-tcp only")
