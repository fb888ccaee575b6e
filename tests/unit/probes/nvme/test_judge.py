# SPDX-License-Identifier: GPL-2.0-or-later
"""Each finding where it belongs and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobe_tool.checks import CHECKS, Finding, Method, Status
from kprobe_tool.probes.nvme import checks, judge
from kprobe_tool.probes.nvme.ask import Subject, Survey, group_paths, survey_host
from kprobe_tool.probes.nvme.controllers import Controller, Cpus, Hctx, NvmePath, Problem
from kprobe_tool.probes.nvme.request import QueueRequest, RequestSource
from kprobe_tool.probes.nvme.split import Algorithm, HctxType, Options, connect, deadly_grants
from kprobe_tool.probes.nvme.types import TypeSource

from . import trees

counts = st.integers(1, 40)

NEWEST = trees.RELEASES[-1]

GRANTED, OOPS, STALE = "nvme-queues-granted", "nvme-shortfall-oops", "nvme-stale-io-queues"
OFFLINE, COUNT, PATHS = "nvme-hctx-offline-cpus", "nvme-queue-count", "nvme-path-queues"
POLL, BALANCE = "nvme-poll-queues", "nvme-cpu-balance"

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


def judged(survey: Survey, number: int = 0) -> dict[str, Finding]:
    return judge.judge_controller(survey, survey.subjects[number])


def affected(survey: Survey, number: int = 0) -> set[str]:
    return {name for name, finding in judged(survey, number).items() if finding.status is Status.AFFECTED}


def asking(survey: Survey, options: Options, value: int, following: int, **fields: Any) -> Survey:
    """The same survey with the options known, and nothing that can have changed since."""
    request = QueueRequest(value, RequestSource.KCORE, options, following, at_least=value, at_most=value)
    return requesting(survey, request, **fields)


def requesting(survey: Survey, request: QueueRequest, **fields: Any) -> Survey:
    subject = replace(survey.subjects[0], request=request, **fields)
    return replace(survey, subjects=(subject, *survey.subjects[1:]))


def surveying(controller: Controller, *others: Controller, **fields: Any) -> Survey:
    """A survey of controllers made up, of which nothing is known but what they say."""
    subjects = tuple(Subject(each, QueueRequest(None, None)) for each in (controller, *others))
    return Survey(FOUR, None, subjects, group_paths(subjects), **fields)


def hctx(index: int, *cpus: int, kind: HctxType | None = "default", cut: bool = False) -> Hctx:
    return Hctx(index, cpus, cut, 127, None, kind)


def mapped(*hctxs: Hctx, **fields: Any) -> NvmePath:
    return NvmePath("nvme0c0n1", hctxs, io_poll=False, type_source=TypeSource.CPU_LISTS, **fields)


FOUR = Cpus(possible=(0, 1, 2, 3), online=(0, 1, 2, 3))
ONE_EACH = mapped(hctx(0, 0), hctx(1, 1), hctx(2, 2), hctx(3, 3))


def made_up(**fields: Any) -> Controller:
    whole: dict[str, Any] = {
        "name": "nvme0",
        "transport": "tcp",
        "state": "live",
        "subsysnqn": "nqn.x",
        "queue_count": 5,
    }
    return Controller(**(whole | {"paths": (ONE_EACH,)} | fields))


def status(survey: Survey, check_id: str) -> Status:
    return judged(survey)[check_id].status


def test_every_check_has_its_judge() -> None:
    rows = {check.id: check for check in CHECKS if check.system == "nvme"}
    assert list(rows) == list(judge.JUDGES)
    for check in rows.values():
        assert callable(getattr(checks, check.function.partition(":")[2]))


@pytest.mark.parametrize("debugfs", [True, False], ids=["root", "nobody"])
@pytest.mark.parametrize(("release", "name"), trees.every())
def test_captured(tmp_path: Path, release: str, name: str, debugfs: bool) -> None:
    survey = survey_host(str(trees.plant(tmp_path, release, name, debugfs=debugfs)))
    assert affected(survey) == AFFECTED.get(name, set())


def test_paths(tmp_path: Path) -> None:
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-two-paths")))
    assert affected(survey, 1) == {PATHS}
    assert judged(survey, 1)[PATHS].evidence == {"paths": {"nvme1": 4, "nvme2": 1}}
    assert judged(survey, 0)[PATHS].status is Status.OK


def test_fewer_granted_by_whom(tmp_path: Path) -> None:
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-fewer")))
    assert judged(survey)[GRANTED].status is Status.UNKNOWN
    finding = judged(asking(survey, Options(4), 4, 4))[GRANTED]
    assert (finding.status, finding.evidence["limited_by"]) == (Status.AFFECTED, None)
    for nsqa, by in ((1, "controller"), (2, "controller"), (3, "host"), (128, "host")):
        finding = judged(asking(survey, Options(4), 4, 4, nsqa=nsqa))[GRANTED]
        assert finding.evidence == {"asked": 4, "asked_at_least": 4, "granted": 2, "limited_by": by}
    assert judged(asking(survey, Options(2), 2, 2))[GRANTED].status is Status.OK


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
def test_granted_within_bounds(
    at_least: int | None, value: int | None, at_most: int | None, expected: Status
) -> None:
    request = QueueRequest(value, RequestSource.KCORE, at_least=at_least, at_most=at_most, doubt="perhaps")
    survey = requesting(surveying(made_up(queue_count=3)), request)
    finding = judged(survey)[GRANTED]
    assert finding.status is expected
    assert ("at least" in finding.reason) == (expected is Status.AFFECTED and not request.exact)
    if expected is Status.UNKNOWN and value is not None:
        assert "perhaps" in finding.reason


NOT_READ = made_up(
    transport=None,
    state=None,
    subsysnqn=None,
    queue_count=None,
    paths=(),
    paths_read=False,
    problems=(Problem("nvme0: attributes", "not read within 3 s", 110),),
)


def test_controller_that_cannot_be_read_is_unknown() -> None:
    """A reconnect that hangs is what these checks are for: none of them may say that it does not apply."""
    findings = judged(surveying(NOT_READ))
    assert {finding.status for finding in findings.values()} == {Status.UNKNOWN}
    for finding in findings.values():
        assert "not read within 3 s" in finding.reason


QUEUES_NOT_READ = made_up(
    paths=(), paths_read=False, problems=(Problem("nvme0: queues", "not read within 3 s", 110),)
)


@pytest.mark.parametrize("check_id", [STALE, OFFLINE, COUNT, POLL, BALANCE])
def test_queues_that_cannot_be_read_are_unknown(check_id: str) -> None:
    assert status(surveying(QUEUES_NOT_READ), check_id) is Status.UNKNOWN
    # One queue of four that could not be read must not pass for three mapped.
    torn = made_up(paths=(replace(ONE_EACH, hctxs=ONE_EACH.hctxs[:3], complete=False),))
    assert status(surveying(torn), check_id) is Status.UNKNOWN
    # Another namespace of the same controller could be read, and has the same queues.
    both = made_up(paths=(*torn.paths, ONE_EACH), paths_read=False)
    assert status(surveying(both), check_id) is status(surveying(made_up()), check_id)


@pytest.mark.parametrize("check_id", [STALE, OFFLINE, COUNT, POLL, BALANCE])
def test_no_namespace(check_id: str) -> None:
    assert status(surveying(made_up(paths=())), check_id) is Status.NOT_APPLICABLE


@pytest.mark.parametrize("transport", ["pcie", "fc", "loop", "apple-nvme"])
def test_transports_without_the_bugs(transport: str) -> None:
    survey = surveying(made_up(transport=transport))
    assert status(survey, OOPS) is Status.NOT_APPLICABLE
    assert status(survey, STALE) is Status.NOT_APPLICABLE
    assert status(survey, OFFLINE) is (Status.OK if transport in {"fc", "loop"} else Status.NOT_APPLICABLE)


@pytest.mark.parametrize("check_id", [GRANTED, PATHS])
@pytest.mark.parametrize("fields", [{"cntrltype": "discovery"}, {"cntrltype": "admin"}])
def test_controllers_without_io_queues(check_id: str, fields: dict[str, str]) -> None:
    assert status(surveying(made_up(queue_count=1, **fields)), check_id) is Status.NOT_APPLICABLE


def test_shortfall_oops(tmp_path: Path) -> None:
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "tcp-all")))
    assert judged(survey)[OOPS].status is Status.UNKNOWN
    for fixed in (Algorithm.TRANSPORT, Algorithm.FABRICS):
        finding = judged(replace(survey, algorithm=fixed))[OOPS]
        assert (finding.status, finding.method) == (Status.OK, Method.SYMBOL)
    finding = judged(replace(survey, algorithm=Algorithm.REQUEST))[OOPS]
    assert (finding.status, finding.method) == (Status.AFFECTED, Method.VERSION)


def test_stale_grants(tmp_path: Path) -> None:
    """Any grant of two or fewer leaves the counts of "mapped 2/0/2" as they were, beyond the queues there are."""
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-poll")))
    assert judged(survey)[STALE].evidence["deadly_grants"] == [1, 2]
    known = judged(asking(survey, Options(2, 0, 2), 4, 4))[STALE]
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
def test_stale_grants_of_a_newer_kernel(tmp_path: Path, release: str, expected: Status) -> None:
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-poll")))
    assert status(replace(survey, release=release), STALE) is expected


def test_stale_grants_without_types() -> None:
    untyped = replace(ONE_EACH, type_source=None, hctxs=tuple(replace(each, type=None) for each in ONE_EACH.hctxs))
    for check_id in (STALE, BALANCE):
        assert status(surveying(made_up(paths=(untyped,))), check_id) is Status.UNKNOWN
    assert status(surveying(made_up()), STALE) is Status.OK


def test_no_grant_is_deadly() -> None:
    """One read and one default queue: a grant of one leaves READ at 1 from queue 1 on, and that is deadly; where no
    fewer can be granted nothing is."""
    pair = mapped(hctx(0, 0, 1), hctx(1, 0, 1, kind="read"))
    assert judged(surveying(made_up(paths=(pair,), queue_count=3)))[STALE].evidence["deadly_grants"] == [1]
    alone = mapped(hctx(0, 0, 1, 2, 3, kind="poll"))
    finding = judged(surveying(made_up(paths=(alone,), queue_count=2)))[STALE]
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


def test_last_hctx_offline(tmp_path: Path) -> None:
    """CPU 3 offline, and three queues asked for next: hctx 3 is mapped anew before it is connected.

    Where the options are not known, write queues that were not granted may be asked for as well, and reach it.
    """
    root = trees.plant(tmp_path, "6.12.43+deb12-amd64", "tcp-all")
    trees.file(root, "devices/system/cpu/online", "0-2\n")
    survey = survey_host(str(root))
    assert status(survey, OFFLINE) is Status.UNKNOWN
    assert status(asking(survey, Options(4), 4, 3), OFFLINE) is Status.OK
    finding = judged(asking(survey, Options(4, 2), 6, 5))[OFFLINE]
    assert finding.status is Status.AFFECTED
    assert finding.evidence == {"hctxs": [3], "cpus": [3], "state": "live"}
    assert status(asking(survey, Options(4), 4, 4), OFFLINE) is Status.AFFECTED


def test_offline_with_a_cut_list() -> None:
    """CPUs that the kernel had no room for may be online."""
    offline = replace(FOUR, online=(0,))
    cut = mapped(hctx(0, 0), hctx(1, 1, cut=True))
    survey = replace(surveying(made_up(paths=(cut,), queue_count=3)), cpus=offline)
    assert status(survey, OFFLINE) is Status.UNKNOWN


def test_offline_of_unknown_types() -> None:
    """Where neither options nor types are known, what the next connect reaches is not."""
    hctxs = (hctx(0, 0, 1, kind=None), hctx(1, 2, 3, kind=None))
    path = NvmePath("nvme0c0n1", hctxs)
    survey = replace(surveying(made_up(paths=(path,), queue_count=3)), cpus=replace(FOUR, online=(0, 1)))
    assert status(survey, OFFLINE) is Status.UNKNOWN


def test_isolated_queue_cannot_reconnect() -> None:
    """blk_mq_alloc_request_hctx() looks for an online CPU in the same mask that cpu_list shows."""
    survey = surveying(made_up(paths=(mapped(hctx(0, 0, 1), hctx(1)),), queue_count=3))
    finding = judged(survey)[OFFLINE]
    assert (finding.status, finding.evidence["hctxs"]) == (Status.AFFECTED, [1])


@pytest.mark.parametrize(
    ("transport", "granted", "path", "expected"),
    [
        ("tcp", 4, ONE_EACH, Status.OK),
        ("tcp", 3, ONE_EACH, Status.AFFECTED),
        ("tcp", 5, ONE_EACH, Status.AFFECTED),
        ("pcie", 3, ONE_EACH, Status.AFFECTED),
        # write_queues above the CPUs: each CPU has a queue of its own, and the rest have none.
        ("pcie", 9, ONE_EACH, Status.OK),
        ("pcie", 9, mapped(hctx(0, 0, 1), *(hctx(n, n - 1, kind="read") for n in (1, 2, 3, 4))), Status.OK),
        # Some CPUs share a queue, so those that are not mapped are not for want of CPUs.
        ("pcie", 9, mapped(hctx(0, 0, 1), hctx(1, 2, 3)), Status.AFFECTED),
        ("pcie", 9, replace(ONE_EACH, type_source=None), Status.UNKNOWN),
    ],
)
def test_queue_count(transport: str, granted: int, path: NvmePath, expected: Status) -> None:
    survey = surveying(made_up(transport=transport, queue_count=granted + 1, paths=(path,)))
    assert status(survey, COUNT) is expected


def test_queue_count_without_cpus() -> None:
    survey = replace(surveying(made_up(transport="pcie", queue_count=9)), cpus=Cpus(None, None))
    assert status(survey, COUNT) is Status.UNKNOWN


def test_path_that_cannot_be_read() -> None:
    """A controller that hangs may be another path with more queues."""
    fewer = made_up(name="nvme1", queue_count=3)
    assert status(surveying(made_up()), PATHS) is Status.NOT_APPLICABLE
    assert status(surveying(made_up(), fewer), PATHS) is Status.OK
    assert status(surveying(fewer, made_up()), PATHS) is Status.AFFECTED
    assert status(surveying(made_up(), replace(NOT_READ, name="nvme2")), PATHS) is Status.UNKNOWN
    half = made_up(name="nvme2", queue_count=None)
    assert status(surveying(made_up(), half), PATHS) is Status.UNKNOWN
    assert status(surveying(made_up(), replace(half, subsysnqn="nqn.other")), PATHS) is Status.NOT_APPLICABLE
    # It is affected whatever the third says.
    assert status(surveying(fewer, made_up(), half), PATHS) is Status.AFFECTED


def test_poll_queues_without_debugfs_or_io_poll(tmp_path: Path) -> None:
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-write-poll")))
    assert judged(survey)[POLL].status is Status.OK
    survey = survey_host(str(trees.plant(tmp_path / "none", NEWEST, "rdma-all")))
    assert judged(survey)[POLL].status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("io_poll", "options", "expected"),
    [
        (None, None, Status.UNKNOWN),
        (False, None, Status.NOT_APPLICABLE),
        (True, None, Status.AFFECTED),
        (None, Options(4), Status.NOT_APPLICABLE),
        (False, Options(4, 0, 2), Status.AFFECTED),
    ],
)
def test_poll_queues_asked_for(io_poll: bool | None, options: Options | None, expected: Status) -> None:
    survey = surveying(made_up(paths=(replace(ONE_EACH, io_poll=io_poll),)))
    if options:
        survey = asking(survey, options, 4, 4)
    finding = judged(survey)[POLL]
    assert finding.status is expected
    if expected is Status.AFFECTED:
        assert finding.evidence == {"asked": options.nr_poll_queues if options else None, "hctx_0_shown": None}
    untyped = replace(ONE_EACH, io_poll=True, type_source=None)
    assert status(surveying(made_up(paths=(untyped,))), POLL) is Status.UNKNOWN


def test_poll_queues_of_a_file_are_a_guess() -> None:
    """What some configuration file wants says nothing of this connection; queue/io_poll does."""
    survey = surveying(made_up())
    request = QueueRequest(4, RequestSource.CONFIGURATION, Options(2, 0, 2))
    assert status(requesting(survey, request), POLL) is Status.NOT_APPLICABLE


def test_balance(tmp_path: Path) -> None:
    trees.controller(tmp_path, lists=("0, 1, 2", "3"))
    finding = judged(survey_host(str(tmp_path)))[BALANCE]
    assert (finding.status, finding.evidence) == (Status.AFFECTED, {"cpus_per_queue": {0: 3, 1: 1}})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (ONE_EACH, Status.OK),
        (mapped(hctx(0, 0, 1, 2), hctx(1, 3)), Status.AFFECTED),
        (mapped(hctx(0, 0, 1), hctx(1, 2, 3)), Status.OK),
        (mapped(hctx(0, 0, 1, 2, 3)), Status.NOT_APPLICABLE),
        # CPU 3 is isolated, and submits to one of the two.
        (mapped(hctx(0, 0, 1), hctx(1, 2)), Status.UNKNOWN),
        # CPUs 2 and 3 are, and both queues may serve two.
        (mapped(hctx(0, 0, 1), hctx(1)), Status.UNKNOWN),
        # CPU 3 is, and cannot make up for the difference.
        (mapped(hctx(0, 0, 1, 2), hctx(1), hctx(2)), Status.AFFECTED),
        (mapped(hctx(0, 0, 1, 2, cut=True), hctx(1, 3)), Status.UNKNOWN),
    ],
)
def test_balance_with_isolated_cpus(path: NvmePath, expected: Status) -> None:
    survey = surveying(made_up(queue_count=len(path.hctxs) + 1, paths=(path,)))
    assert status(survey, BALANCE) is expected


def test_balance_by_debugfs() -> None:
    """Root sees to which queue the isolated CPUs 2 and 3 submit."""
    fair = mapped(replace(hctx(0, 0, 1), submitters=(0, 1)), replace(hctx(1), submitters=(2, 3)))
    assert status(surveying(made_up(paths=(fair,))), BALANCE) is Status.OK
    # By the lists alone: one CPU each.
    unfair = mapped(replace(hctx(0, 0), submitters=(0, 2, 3)), replace(hctx(1, 1), submitters=(1,)))
    finding = judged(surveying(made_up(paths=(unfair,))))[BALANCE]
    assert (finding.status, finding.evidence) == (Status.AFFECTED, {"cpus_per_queue": {0: 3, 1: 1}})


def test_balance_of_a_kernel_with_isolated_cpus(tmp_path: Path) -> None:
    """Two CPUs each, of which one queue's are isolated and in no list; who may not see debugfs cannot tell."""
    for debugfs, expected in ((True, Status.OK), (False, Status.UNKNOWN)):
        root = trees.plant(tmp_path / str(debugfs), trees.ISOLATED, "pci", debugfs=debugfs)
        survey = survey_host(str(root))
        assert survey.errors == ()
        assert status(survey, BALANCE) is expected


def test_balance_without_possible_cpus() -> None:
    survey = replace(surveying(made_up()), cpus=Cpus(None, (0, 1, 2, 3)))
    assert status(survey, BALANCE) is Status.UNKNOWN


def test_balance_without_the_untouched_poll_map(tmp_path: Path) -> None:
    """All CPUs on hctx 0 are the poll map's, which has no queue: its own are what no other default queue has."""
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-write-poll-fewer")))
    assert judged(survey)[BALANCE].status is Status.OK


def test_unknown_online_cpus(tmp_path: Path) -> None:
    trees.controller(tmp_path)
    survey = replace(survey_host(str(tmp_path)), cpus=Cpus(None, None))
    assert judged(survey)[OFFLINE].status is Status.UNKNOWN


def test_unreadable_queue_count(tmp_path: Path) -> None:
    directory = trees.controller(tmp_path)
    (directory / "queue_count").unlink()
    survey = survey_host(str(tmp_path))
    assert judged(survey)[GRANTED].status is Status.UNKNOWN
    assert len(survey.errors) == 1


def test_numbers_in_words() -> None:
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
def test_whose_limit_in_words(nsqa: int | None, words: str) -> None:
    finding = judged(asking(surveying(made_up(queue_count=3)), Options(4), 4, 4, nsqa=nsqa))[GRANTED]
    assert finding.reason == f"2 queues granted of 4 asked for, so CPUs share them; {words}"
    assert finding.method is Method.PROBE


def test_what_settles_whether_more_was_asked_for() -> None:
    """Who has the options from the kernel already is not sent to root again."""
    guess = QueueRequest(4, RequestSource.CONFIGURATION, doubt="perhaps")
    assert judged(requesting(surveying(made_up()), guess))[GRANTED].settle == judge.ROOT
    known = replace(guess, source=RequestSource.KCORE, options=Options(4))
    assert "a new connection" in str(judged(requesting(surveying(made_up()), known))[GRANTED].settle)


def test_stale_grants_by_the_rule_of_the_kernel(tmp_path: Path) -> None:
    """v5.0 maps CPUs to what was asked for: any smaller grant is deadly."""
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-poll")))
    grants = {
        algorithm: judged(replace(survey, algorithm=algorithm))[STALE].evidence["deadly_grants"]
        for algorithm in (None, *Algorithm)
    }
    assert grants == {
        None: [1, 2],
        Algorithm.REQUEST: [1, 2, 3],
        Algorithm.TRANSPORT: [1, 2],
        Algorithm.FABRICS: [1, 2],
    }


def test_one_cut_list_among_those_offline() -> None:
    """Hctx 0 is without an online CPU for certain; hctx 1 may not be, so which the next connect stops at is open."""
    path = mapped(hctx(0, 0), hctx(1, 1, cut=True), hctx(2, 2))
    survey = replace(surveying(made_up(paths=(path,), queue_count=4)), cpus=replace(FOUR, online=(2,)))
    assert status(survey, OFFLINE) is Status.UNKNOWN


def test_offline_reached_by_what_is_asked_for_with_fewer_cpus() -> None:
    """One read and three write queues, two CPUs left: three are asked for next, and hctx 2 has CPUs 2 and 3."""
    reading = hctx(3, 0, 1, 2, 3, kind="read")
    path = mapped(hctx(0, 0), hctx(1, 1), hctx(2, 2, 3), reading)
    survey = replace(surveying(made_up(paths=(path,))), cpus=replace(FOUR, online=(0, 1)))
    finding = judged(survey)[OFFLINE]
    assert finding.status is Status.AFFECTED
    assert "until a CPU of queue 2 is online" in finding.reason
    both = mapped(hctx(0, 0), hctx(1, 1), hctx(2, 2), hctx(3, 3))
    survey = replace(surveying(made_up(paths=(both,))), cpus=replace(FOUR, online=(0, 1)))
    assert "until a CPU of queues 2-3 is online" in judged(asking(survey, Options(4), 4, 4))[OFFLINE].reason


def test_queues_beyond_the_cpus_in_words() -> None:
    finding = judged(surveying(made_up(transport="pcie", queue_count=10)))[COUNT]
    assert (finding.status, finding.method) == (Status.OK, Method.PROBE)
    assert finding.reason == "5 of 9 queues not mapped: there are more than CPUs"


def test_one_poll_queue_is_asked_for() -> None:
    first = replace(hctx(0, 0, 1, 2, 3), shown="poll")
    path = replace(mapped(first, replace(hctx(1, 2, 3), shown="default")), io_poll=False)
    finding = judged(asking(surveying(made_up(paths=(path,))), Options(2, 0, 1), 3, 3))[POLL]
    assert (finding.status, finding.evidence) == (Status.AFFECTED, {"asked": 1, "hctx_0_shown": "poll"})


@pytest.mark.parametrize(
    ("path", "expected", "reason"),
    [
        # The list of a queue that is none of the default ones.
        (
            mapped(hctx(0, 0, 1), hctx(1, 2, 3), hctx(2, 0, 1, 2, cut=True, kind="read")),
            Status.OK,
            "2 CPUs for each default queue",
        ),
        (mapped(hctx(0, 0, 1), hctx(1, 2), hctx(2, 3)), Status.OK, "2 CPUs for each default queue, 1 at least"),
        (ONE_EACH, Status.OK, "1 CPU for each default queue"),
        (mapped(hctx(0, 0, 1, 2), hctx(1, 3)), Status.AFFECTED, "1 to 3 CPUs for each default queue"),
        # Of hctx 1 debugfs says nothing, so the isolated CPU 3 may be its.
        (
            mapped(replace(hctx(0, 0, 1), submitters=(0, 1)), hctx(1, 2)),
            Status.UNKNOWN,
            "which queues serve 1 CPU (3), isolated from the lists, is not known",
        ),
        # All CPUs on hctx 0 are those of a poll map without queues.
        (mapped(hctx(0, 0, 1, 2, 3), hctx(1, 2, 3)), Status.OK, "2 CPUs for each default queue"),
    ],
)
def test_balance_in_words(path: NvmePath, expected: Status, reason: str) -> None:
    finding = judged(surveying(made_up(paths=(path,))))[BALANCE]
    assert (finding.status, finding.reason) == (expected, reason)


@pytest.mark.parametrize(
    ("counts", "more", "minimum"),
    [({0: 4, 1: 0}, 2, 2), ({0: 1, 1: 1}, 1, 1), ({0: 1, 1: 1}, 2, 2), ({0: 1, 1: 3}, 0, 1)],
)
def test_best_minimum(counts: dict[int, int], more: int, minimum: int) -> None:
    assert judge.best_minimum(counts, more) == minimum


@pytest.mark.parametrize(
    ("number", "reason"), [(1, "nvme0: {}"), (2, "nvme0: {} (and 1 more)"), (3, "nvme0: {} (and 2 more)")]
)
def test_how_many_controllers_share_a_verdict(number: int, reason: str) -> None:
    controllers = [made_up(name=f"nvme{each}", transport="pcie") for each in range(number)]
    verdict = checks.worst_finding(OOPS, surveying(*controllers))
    assert verdict.reason == reason.format("concerns nvme-rdma and nvme-tcp only")
