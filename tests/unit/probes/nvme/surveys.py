# SPDX-License-Identifier: GPL-2.0-or-later
"""Surveys of controllers, from trees of real kernels or made up."""

from __future__ import annotations

from typing import Any

from kprobe_tool.checks import Finding, Status
from kprobe_tool.probes.nvme import judge
from kprobe_tool.probes.nvme.ask import Subject, Survey, group_paths
from kprobe_tool.probes.nvme.controllers import Controller, Cpus, Hctx, NvmePath, Problem
from kprobe_tool.probes.nvme.request import QueueRequest, RequestSource
from kprobe_tool.probes.nvme.split import HctxType, Options
from kprobe_tool.probes.nvme.types import TypeSource

from . import trees

NEWEST = trees.RELEASES[-1]

GRANTED, OOPS, STALE = "nvme-queues-granted", "nvme-shortfall-oops", "nvme-stale-io-queues"
OFFLINE, COUNT, PATHS = "nvme-hctx-offline-cpus", "nvme-queue-count", "nvme-path-queues"
POLL, BALANCE = "nvme-poll-queues", "nvme-cpu-balance"


def findings_of(survey: Survey, number: int = 0) -> dict[str, Finding]:
    return judge.judge_controller(survey, survey.subjects[number])


def with_options(survey: Survey, options: Options, value: int, following: int, **fields: Any) -> Survey:
    """The same survey with the options known, and nothing that can have changed since."""
    request = QueueRequest(value, RequestSource.KCORE, options, following, at_least=value, at_most=value)
    return with_request(survey, request, **fields)


def with_request(survey: Survey, request: QueueRequest, **fields: Any) -> Survey:
    subject = survey.subjects[0]._replace(request=request, **fields)
    return survey._replace(subjects=(subject, *survey.subjects[1:]))


def survey_of(controller: Controller, *others: Controller, **fields: Any) -> Survey:
    """A survey of controllers made up, of which nothing is known but what they say."""
    subjects = tuple(Subject(each, QueueRequest(None, None)) for each in (controller, *others))
    return Survey(FOUR, None, subjects, group_paths(subjects), **fields)


def hctx(index: int, *cpus: int, kind: HctxType | None = "default", cut: bool = False) -> Hctx:
    return Hctx(index, cpus, cut, 127, None, kind)


def path_of(*hctxs: Hctx, **fields: Any) -> NvmePath:
    return NvmePath("nvme0c0n1", hctxs, io_poll=False, type_source=TypeSource.CPU_LISTS, **fields)


FOUR = Cpus(possible=(0, 1, 2, 3), online=(0, 1, 2, 3))
ONE_EACH = path_of(hctx(0, 0), hctx(1, 1), hctx(2, 2), hctx(3, 3))


def make_controller(**fields: Any) -> Controller:
    whole: dict[str, Any] = {
        "name": "nvme0",
        "transport": "tcp",
        "state": "live",
        "subsysnqn": "nqn.x",
        "queue_count": 5,
    }
    return Controller(**(whole | {"paths": (ONE_EACH,)} | fields))


def status(survey: Survey, check_id: str) -> Status:
    return findings_of(survey)[check_id].status


NOT_READ = make_controller(
    transport=None,
    state=None,
    subsysnqn=None,
    queue_count=None,
    paths=(),
    paths_read=False,
    problems=(Problem("nvme0: attributes", "not read within 3 s", 110),),
)


QUEUES_NOT_READ = make_controller(
    paths=(), paths_read=False, problems=(Problem("nvme0: queues", "not read within 3 s", 110),)
)
