# SPDX-License-Identifier: GPL-2.0-or-later
"""How queues and CPUs are mapped: offline CPUs, counts, poll queues, balance."""

from __future__ import annotations

from pathlib import Path

import pytest

from kprobe_tool.checks import Method, Status
from kprobe_tool.probes.nvme import judge
from kprobe_tool.probes.nvme.ask import survey_host
from kprobe_tool.probes.nvme.controllers import Cpus, NvmePath
from kprobe_tool.probes.nvme.request import QueueRequest, RequestSource
from kprobe_tool.probes.nvme.split import Options

from . import trees
from .surveys import (
    BALANCE,
    COUNT,
    FOUR,
    NEWEST,
    OFFLINE,
    ONE_EACH,
    POLL,
    findings_of,
    hctx,
    make_controller,
    path_of,
    status,
    survey_of,
    with_options,
    with_request,
)


def test_an_hctx_with_offline_cpus_only_is_judged_by_what_is_asked_for_next(tmp_path: Path) -> None:
    """CPU 3 offline, and three queues asked for next: hctx 3 is mapped anew before it is connected.

    Where the options are not known, write queues that were not granted may be asked for as well, and reach it.
    """
    root = trees.plant(tmp_path, "6.12.43+deb12-amd64", "tcp-all")
    trees.file(root, "devices/system/cpu/online", "0-2\n")
    survey = survey_host(str(root))
    assert status(survey, OFFLINE) is Status.UNKNOWN
    assert status(with_options(survey, Options(4), 4, 3), OFFLINE) is Status.OK
    finding = findings_of(with_options(survey, Options(4, 2), 6, 5))[OFFLINE]
    assert finding.status is Status.AFFECTED
    assert finding.evidence == {"hctxs": [3], "cpus": [3], "state": "live"}
    assert status(with_options(survey, Options(4), 4, 4), OFFLINE) is Status.AFFECTED


def test_a_cut_list_leaves_unknown_whether_its_cpus_are_online() -> None:
    """CPUs that the kernel had no room for may be online."""
    offline = FOUR._replace(online=(0,))
    cut = path_of(hctx(0, 0), hctx(1, 1, cut=True))
    survey = survey_of(make_controller(paths=(cut,), queue_count=3))._replace(cpus=offline)
    assert status(survey, OFFLINE) is Status.UNKNOWN


def test_unknown_types_leave_unknown_what_the_next_connect_reaches() -> None:
    """Where neither options nor types are known, what the next connect reaches is not."""
    hctxs = (hctx(0, 0, 1, kind=None), hctx(1, 2, 3, kind=None))
    path = NvmePath("nvme0c0n1", hctxs)
    survey = survey_of(make_controller(paths=(path,), queue_count=3))._replace(cpus=FOUR._replace(online=(0, 1)))
    assert status(survey, OFFLINE) is Status.UNKNOWN


def test_isolated_queue_cannot_reconnect() -> None:
    """blk_mq_alloc_request_hctx() looks for an online CPU in the same mask that cpu_list shows."""
    survey = survey_of(make_controller(paths=(path_of(hctx(0, 0, 1), hctx(1)),), queue_count=3))
    finding = findings_of(survey)[OFFLINE]
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
        ("pcie", 9, path_of(hctx(0, 0, 1), *(hctx(n, n - 1, kind="read") for n in (1, 2, 3, 4))), Status.OK),
        # Some CPUs share a queue, so those that are not mapped are not for want of CPUs.
        ("pcie", 9, path_of(hctx(0, 0, 1), hctx(1, 2, 3)), Status.AFFECTED),
        ("pcie", 9, ONE_EACH._replace(type_source=None), Status.UNKNOWN),
    ],
)
def test_queues_that_are_not_mapped_are_told(transport: str, granted: int, path: NvmePath, expected: Status) -> None:
    survey = survey_of(make_controller(transport=transport, queue_count=granted + 1, paths=(path,)))
    assert status(survey, COUNT) is expected


def test_queue_count_without_cpus() -> None:
    survey = survey_of(make_controller(transport="pcie", queue_count=9))._replace(cpus=Cpus(None, None))
    assert status(survey, COUNT) is Status.UNKNOWN


def test_poll_queues_are_judged_without_debugfs_and_io_poll(tmp_path: Path) -> None:
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-write-poll")))
    assert findings_of(survey)[POLL].status is Status.OK
    survey = survey_host(str(trees.plant(tmp_path / "none", NEWEST, "rdma-all")))
    assert findings_of(survey)[POLL].status is Status.NOT_APPLICABLE


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
def test_poll_queues_that_were_asked_for_must_poll(
    io_poll: bool | None, options: Options | None, expected: Status
) -> None:
    survey = survey_of(make_controller(paths=(ONE_EACH._replace(io_poll=io_poll),)))
    if options:
        survey = with_options(survey, options, 4, 4)
    finding = findings_of(survey)[POLL]
    assert finding.status is expected
    if expected is Status.AFFECTED:
        assert finding.evidence == {"asked": options.nr_poll_queues if options else None, "hctx_0_shown": None}
    untyped = ONE_EACH._replace(io_poll=True, type_source=None)
    assert status(survey_of(make_controller(paths=(untyped,))), POLL) is Status.UNKNOWN


def test_poll_queues_of_a_file_are_a_guess() -> None:
    """What some configuration file wants says nothing of this connection; queue/io_poll does."""
    survey = survey_of(make_controller())
    request = QueueRequest(4, RequestSource.CONFIGURATION, Options(2, 0, 2))
    assert status(with_request(survey, request), POLL) is Status.NOT_APPLICABLE


def test_cpus_that_share_a_queue_are_counted(tmp_path: Path) -> None:
    trees.controller(tmp_path, lists=("0, 1, 2", "3"))
    finding = findings_of(survey_host(str(tmp_path)))[BALANCE]
    assert (finding.status, finding.evidence) == (Status.AFFECTED, {"cpus_per_queue": {0: 3, 1: 1}})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (ONE_EACH, Status.OK),
        (path_of(hctx(0, 0, 1, 2), hctx(1, 3)), Status.AFFECTED),
        (path_of(hctx(0, 0, 1), hctx(1, 2, 3)), Status.OK),
        (path_of(hctx(0, 0, 1, 2, 3)), Status.NOT_APPLICABLE),
        # CPU 3 is isolated, and submits to one of the two.
        (path_of(hctx(0, 0, 1), hctx(1, 2)), Status.UNKNOWN),
        # CPUs 2 and 3 are, and both queues may serve two.
        (path_of(hctx(0, 0, 1), hctx(1)), Status.UNKNOWN),
        # CPU 3 is, and cannot make up for the difference.
        (path_of(hctx(0, 0, 1, 2), hctx(1), hctx(2)), Status.AFFECTED),
        (path_of(hctx(0, 0, 1, 2, cut=True), hctx(1, 3)), Status.UNKNOWN),
    ],
)
def test_balance_allows_for_isolated_cpus(path: NvmePath, expected: Status) -> None:
    survey = survey_of(make_controller(queue_count=len(path.hctxs) + 1, paths=(path,)))
    assert status(survey, BALANCE) is expected


def test_debugfs_decides_the_balance() -> None:
    """Root sees to which queue the isolated CPUs 2 and 3 submit."""
    fair = path_of(hctx(0, 0, 1)._replace(submitters=(0, 1)), hctx(1)._replace(submitters=(2, 3)))
    assert status(survey_of(make_controller(paths=(fair,))), BALANCE) is Status.OK
    # By the lists alone: one CPU each.
    unfair = path_of(hctx(0, 0)._replace(submitters=(0, 2, 3)), hctx(1, 1)._replace(submitters=(1,)))
    finding = findings_of(survey_of(make_controller(paths=(unfair,))))[BALANCE]
    assert (finding.status, finding.evidence) == (Status.AFFECTED, {"cpus_per_queue": {0: 3, 1: 1}})


def test_balance_beside_isolated_cpus_needs_debugfs(tmp_path: Path) -> None:
    """Two CPUs each, of which one queue's are isolated and in no list; who may not see debugfs cannot tell."""
    for debugfs, expected in ((True, Status.OK), (False, Status.UNKNOWN)):
        root = trees.plant(tmp_path / str(debugfs), trees.ISOLATED, "pci", debugfs=debugfs)
        survey = survey_host(str(root))
        assert survey.errors == ()
        assert status(survey, BALANCE) is expected


def test_balance_is_unknown_without_the_possible_cpus() -> None:
    survey = survey_of(make_controller())._replace(cpus=Cpus(None, (0, 1, 2, 3)))
    assert status(survey, BALANCE) is Status.UNKNOWN


def test_an_untouched_poll_map_does_not_count_for_the_balance(tmp_path: Path) -> None:
    """All CPUs on hctx 0 are the poll map's, which has no queue: its own are what no other default queue has."""
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-write-poll-fewer")))
    assert findings_of(survey)[BALANCE].status is Status.OK


def test_offline_is_unknown_without_the_online_cpus(tmp_path: Path) -> None:
    trees.controller(tmp_path)
    survey = survey_host(str(tmp_path))._replace(cpus=Cpus(None, None))
    assert findings_of(survey)[OFFLINE].status is Status.UNKNOWN


def test_one_cut_list_among_those_offline_makes_it_unknown() -> None:
    """Hctx 0 is without an online CPU for certain; hctx 1 may not be, so which the next connect stops at is open."""
    path = path_of(hctx(0, 0), hctx(1, 1, cut=True), hctx(2, 2))
    survey = survey_of(make_controller(paths=(path,), queue_count=4))._replace(cpus=FOUR._replace(online=(2,)))
    assert status(survey, OFFLINE) is Status.UNKNOWN


def test_fewer_cpus_ask_for_fewer_queues_and_may_reach_an_offline_hctx() -> None:
    """One read and three write queues, two CPUs left: three are asked for next, and hctx 2 has CPUs 2 and 3."""
    reading = hctx(3, 0, 1, 2, 3, kind="read")
    path = path_of(hctx(0, 0), hctx(1, 1), hctx(2, 2, 3), reading)
    survey = survey_of(make_controller(paths=(path,)))._replace(cpus=FOUR._replace(online=(0, 1)))
    finding = findings_of(survey)[OFFLINE]
    assert finding.status is Status.AFFECTED
    assert "until a CPU of queue 2 is online" in finding.reason
    both = path_of(hctx(0, 0), hctx(1, 1), hctx(2, 2), hctx(3, 3))
    survey = survey_of(make_controller(paths=(both,)))._replace(cpus=FOUR._replace(online=(0, 1)))
    assert (
        "until a CPU of queues 2-3 is online" in findings_of(with_options(survey, Options(4), 4, 4))[OFFLINE].reason
    )


def test_queues_beyond_the_cpus_are_counted() -> None:
    finding = findings_of(survey_of(make_controller(transport="pcie", queue_count=10)))[COUNT]
    assert (finding.status, finding.method) == (Status.OK, Method.PROBE)
    assert finding.reason == "5 of 9 queues not mapped: there are more than CPUs"


def test_one_poll_queue_is_asked_for() -> None:
    first = hctx(0, 0, 1, 2, 3)._replace(shown="poll")
    path = path_of(first, hctx(1, 2, 3)._replace(shown="default"))._replace(io_poll=False)
    finding = findings_of(with_options(survey_of(make_controller(paths=(path,))), Options(2, 0, 1), 3, 3))[POLL]
    assert (finding.status, finding.evidence) == (Status.AFFECTED, {"asked": 1, "hctx_0_shown": "poll"})


@pytest.mark.parametrize(
    ("path", "expected", "reason"),
    [
        # The list of a queue that is none of the default ones.
        (
            path_of(hctx(0, 0, 1), hctx(1, 2, 3), hctx(2, 0, 1, 2, cut=True, kind="read")),
            Status.OK,
            "2 CPUs for each default queue",
        ),
        (path_of(hctx(0, 0, 1), hctx(1, 2), hctx(2, 3)), Status.OK, "2 CPUs for each default queue, 1 at least"),
        (ONE_EACH, Status.OK, "1 CPU for each default queue"),
        (path_of(hctx(0, 0, 1, 2), hctx(1, 3)), Status.AFFECTED, "1 to 3 CPUs for each default queue"),
        # Of hctx 1 debugfs says nothing, so the isolated CPU 3 may be its.
        (
            path_of(hctx(0, 0, 1)._replace(submitters=(0, 1)), hctx(1, 2)),
            Status.UNKNOWN,
            "which queues serve 1 CPU (3), isolated from the lists, is not known",
        ),
        # All CPUs on hctx 0 are those of a poll map without queues.
        (path_of(hctx(0, 0, 1, 2, 3), hctx(1, 2, 3)), Status.OK, "2 CPUs for each default queue"),
    ],
)
def test_the_reason_tells_the_cpus_of_each_queue(path: NvmePath, expected: Status, reason: str) -> None:
    finding = findings_of(survey_of(make_controller(paths=(path,))))[BALANCE]
    assert (finding.status, finding.reason) == (expected, reason)


@pytest.mark.parametrize(
    ("counts", "more", "minimum"),
    [({0: 4, 1: 0}, 2, 2), ({0: 1, 1: 1}, 1, 1), ({0: 1, 1: 1}, 2, 2), ({0: 1, 1: 3}, 0, 1)],
)
def test_cpus_without_a_queue_go_where_there_are_fewest(counts: dict[int, int], more: int, minimum: int) -> None:
    assert judge.best_minimum(counts, more) == minimum
