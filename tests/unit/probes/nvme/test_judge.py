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
from kprobe_tool.probes.nvme.ask import Survey, survey_host
from kprobe_tool.probes.nvme.controllers import Cpus
from kprobe_tool.probes.nvme.request import QueueRequest, RequestSource
from kprobe_tool.probes.nvme.split import Algorithm, Options, connect, deadly_grants

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
    """The same survey with the options known."""
    subject = replace(
        survey.subjects[0], request=QueueRequest(value, RequestSource.KCORE, options, following), **fields
    )
    return replace(survey, subjects=(subject, *survey.subjects[1:]))


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
    for nsqa, by in ((2, "controller"), (128, "host")):
        finding = judged(asking(survey, Options(4), 4, 4, nsqa=nsqa))[GRANTED]
        assert finding.evidence == {"asked": 4, "granted": 2, "limited_by": by}
    assert judged(asking(survey, Options(2), 2, 2))[GRANTED].status is Status.OK


def test_shortfall_oops(tmp_path: Path) -> None:
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "tcp-all")))
    assert judged(survey)[OOPS].status is Status.UNKNOWN
    assert judged(replace(survey, algorithm=Algorithm.FABRICS))[OOPS].status is Status.OK
    finding = judged(replace(survey, algorithm=Algorithm.REQUEST))[OOPS]
    assert (finding.status, finding.method) == (Status.AFFECTED, Method.VERSION)


def test_stale_grants(tmp_path: Path) -> None:
    """Any grant of two or fewer leaves the counts of "mapped 2/0/2" as they were, beyond the queues there are."""
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-poll")))
    assert judged(survey)[STALE].evidence["deadly_grants"] == [1, 2]
    known = judged(asking(survey, Options(2, 0, 2), 4, 4))[STALE]
    assert known.evidence["deadly_grants"] == [1, 2]


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
    """CPU 3 offline, and three queues asked for next: hctx 3 is mapped anew before it is connected."""
    root = trees.plant(tmp_path, "6.12.43+deb12-amd64", "tcp-all")
    trees.file(root, "devices/system/cpu/online", "0-2\n")
    survey = survey_host(str(root))
    assert judged(survey)[OFFLINE].status is Status.OK
    assert judged(asking(survey, Options(4, 2), 6, 5))[OFFLINE].status is Status.AFFECTED


def test_poll_queues_without_debugfs_or_io_poll(tmp_path: Path) -> None:
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-write-poll")))
    assert judged(survey)[POLL].status is Status.OK
    survey = survey_host(str(trees.plant(tmp_path / "none", NEWEST, "rdma-all")))
    assert judged(survey)[POLL].status is Status.NOT_APPLICABLE


def test_balance(tmp_path: Path) -> None:
    trees.controller(tmp_path, lists=("0, 1, 2", "3"))
    finding = judged(survey_host(str(tmp_path)))[BALANCE]
    assert (finding.status, finding.evidence) == (Status.AFFECTED, {"cpus_per_queue": {0: 3, 1: 1}})


def test_balance_without_the_untouched_poll_map(tmp_path: Path) -> None:
    """All CPUs on hctx 0 are the poll map's, which has no queue: its own are what no other default queue has."""
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-write-poll-fewer")))
    assert judged(survey)[BALANCE].status is Status.OK


def test_unknown_online_cpus(tmp_path: Path) -> None:
    trees.controller(tmp_path)
    survey = replace(survey_host(str(tmp_path)), cpus=Cpus(None, None))
    assert judged(survey)[OFFLINE].status is Status.UNKNOWN


def test_verdict_is_the_worst(tmp_path: Path) -> None:
    survey = survey_host(str(trees.plant(tmp_path, NEWEST, "rdma-two-paths")))
    verdict = checks.worst_finding(PATHS, survey)
    assert (verdict.status, verdict.reason[:6]) == (Status.AFFECTED, "nvme2:")
    evidence = verdict.evidence["controllers"]
    assert isinstance(evidence, dict)
    assert list(evidence) == ["nvme2"]
    (tmp_path / "empty/class").mkdir(parents=True)
    none = checks.worst_finding(PATHS, survey_host(str(tmp_path / "empty")))
    assert none.status is Status.NOT_APPLICABLE


def test_unreadable_queue_count(tmp_path: Path) -> None:
    directory = trees.controller(tmp_path)
    (directory / "queue_count").unlink()
    survey = survey_host(str(tmp_path))
    assert judged(survey)[GRANTED].status is Status.UNKNOWN
    assert len(survey.errors) == 1
