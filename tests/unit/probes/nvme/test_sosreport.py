# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel logs of booted Debian kernels, laid out as a sosreport has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kprobe_tool.checks import Status
from kprobe_tool.errors import Error
from kprobe_tool.probes.nvme.ask import Survey, survey_sosreport
from kprobe_tool.probes.nvme.controllers import LoggedQueues
from kprobe_tool.probes.nvme.judge import judge_controller
from kprobe_tool.probes.nvme.sosreport import LOGS, parse_kernel_log
from kprobe_tool.probes.nvme.split import Split

from . import trees

# Logged by 6.1.0-56-amd64: the lab's PCI controller, and nr_io_queues=2,nr_poll_queues=2 over tcp.
LOG = """\
[   30.472593] nvme nvme0: pci function 0000:00:0a.0
[   30.565717] nvme nvme0: 2/0/0 default/read/poll queues
[   64.108074] nvme nvme1: creating 4 I/O queues.
[   64.133099] nvme nvme1: mapped 2/0/2 default/read/poll queues.
[   64.193159] nvme nvme1: new ctrl: NQN "nqn.2026-01.org.example:h", addr 10.77.0.1:4421
"""
REMOVED = '[   78.317196] nvme nvme1: Removing ctrl: NQN "nqn.2026-01.org.example:x"\n'


def sosreport(root: Path, log: str = LOG, name: str = LOGS[0]) -> str:
    trees.file(root, name, log)
    (root / "sys/class").mkdir(parents=True)
    return str(root)


def statuses(survey: Survey, number: int) -> dict[str, Status]:
    return {name: finding.status for name, finding in judge_controller(survey, survey.subjects[number]).items()}


def test_the_last_connect_in_a_log_counts() -> None:
    lines = LOG.splitlines()
    assert parse_kernel_log(lines) == {
        "nvme0": LoggedQueues("pcie", 2, Split(2, 0, 0)),
        "nvme1": LoggedQueues(None, 4, Split(2, 0, 2)),
    }
    assert list(parse_kernel_log([*lines, REMOVED])) == ["nvme0"]
    # A reset whose queues were never mapped: the split before is not that of now.
    again = [*lines, "[  99.0] nvme nvme1: creating 3 I/O queues."]
    assert parse_kernel_log(again)["nvme1"] == LoggedQueues(None, 3, None)
    # Linux 5.2 to 6.0 log the PCI controller's line in the same words.
    assert parse_kernel_log(["nvme nvme0: 1/0/0 default/read/poll queues"])["nvme0"].transport == "pcie"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nvme nvme1: mapped x/0/2 default",
        "mapped 1/2/3 default/read/poll queues",
        "nvme nvme99999999: creating 4",
    ],
)
def test_lines_that_say_nothing_are_passed_over(line: str) -> None:
    assert parse_kernel_log([line]) == {}


def test_the_log_alone_predicts_the_crash(tmp_path: Path) -> None:
    """What it predicts is the oops that 6.1.192 died of; what it does not say is unknown, not fine."""
    survey = survey_sosreport(sosreport(tmp_path))
    pci, tcp = (subject.controller for subject in survey.subjects)
    assert (pci.name, pci.transport, pci.granted, pci.split) == ("nvme0", "pcie", 2, Split(2, 0, 0))
    assert (tcp.name, tcp.transport, tcp.granted, tcp.split) == ("nvme1", None, 4, Split(2, 0, 2))
    found = statuses(survey, 1)
    assert found.pop("nvme-stale-io-queues") is Status.AFFECTED
    assert set(found.values()) == {Status.UNKNOWN}
    assert statuses(survey, 0)["nvme-stale-io-queues"] is Status.NOT_APPLICABLE
    assert survey.errors == ()
    assert survey_sosreport(str(tmp_path), ["nvme1"]).subjects == survey.subjects[1:]


RECORDED = trees.DATA.parent / "nvme-sosreport/6.12.43+deb12-amd64.json"
"""What sos 4.0 (``sos report -o kernel,block,nvme``) collected in a guest with that kernel, QEMU's controller and one
over tcp with nr_io_queues=2,nr_poll_queues=2: the lines of its log about NVMe, and of its files those read here."""


def test_a_recorded_sosreport_is_judged(tmp_path: Path) -> None:
    for path, content in json.loads(RECORDED.read_text(encoding="utf-8"))["files"].items():
        trees.file(tmp_path, path, content)
    survey = survey_sosreport(str(tmp_path))
    pci, tcp = (subject.controller for subject in survey.subjects)
    assert (pci.name, pci.transport, pci.granted, pci.split) == ("nvme0", "pcie", 2, Split(2, 0, 0))
    assert (tcp.name, tcp.transport, tcp.granted, tcp.split) == ("nvme1", None, 2, Split(1, 0, 1))
    assert [statuses(survey, number)["nvme-stale-io-queues"] for number in (0, 1)] == [
        Status.NOT_APPLICABLE,
        Status.AFFECTED,
    ]
    assert survey.errors == ()


def test_sysfs_without_controllers_leaves_the_log(tmp_path: Path) -> None:
    """sos 4.0 copies the parameters of modules, and nothing of /sys/class: the log is all there is of controllers."""
    trees.file(tmp_path, LOGS[0], LOG)
    trees.file(tmp_path, "sys/module/nvme/parameters/poll_queues", "1\n")
    survey = survey_sosreport(str(tmp_path))
    assert [subject.controller.name for subject in survey.subjects] == ["nvme0", "nvme1"]
    assert statuses(survey, 1)["nvme-stale-io-queues"] is Status.AFFECTED


def test_controllers_are_those_of_sysfs_where_it_has_them(tmp_path: Path) -> None:
    """sos collects the controllers of fabrics without their queues; whoever is in the log only is gone."""
    directory = sosreport(tmp_path)
    trees.file(tmp_path, "sys/class/nvme-fabrics/ctl/nvme1/transport", "tcp\n")
    trees.file(tmp_path, "sys/class/nvme-fabrics/ctl/nvme1/queue_count", "5\n")
    survey = survey_sosreport(directory)
    (subject,) = survey.subjects
    assert (subject.controller.transport, subject.controller.granted) == ("tcp", 4)
    assert statuses(survey, 0)["nvme-stale-io-queues"] is Status.AFFECTED
    assert statuses(survey, 0)["nvme-queue-count"] is Status.UNKNOWN
    assert survey.errors == ()


def test_queues_in_sysfs_come_first(tmp_path: Path) -> None:
    directory = sosreport(tmp_path, LOG.replace("nvme1", "nvme5"))
    trees.plant(tmp_path / "sys", trees.RELEASES[-1], "rdma-poll")
    (subject,) = survey_sosreport(directory).subjects
    assert subject.controller.split == Split(2, 0, 2)
    assert subject.controller.path is not None


@pytest.mark.parametrize("name", LOGS)
def test_the_log_is_found_in_each_of_its_places(tmp_path: Path, name: str) -> None:
    assert len(survey_sosreport(sosreport(tmp_path, name=name)).subjects) == 2


def test_what_is_no_sosreport_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Error, match=r"ENOENT"):
        survey_sosreport(str(tmp_path / "missing"))
    archive = trees.file(tmp_path, "sosreport.tar.xz", b"\xfd7zXZ")
    with pytest.raises(Error, match=r"ENOTDIR.*; unpack it first"):
        survey_sosreport(str(archive))
    (tmp_path / "unreadable" / LOGS[0]).mkdir(parents=True)
    with pytest.raises(Error, match="EISDIR"):
        survey_sosreport(str(tmp_path / "unreadable"))
    with pytest.raises(Error, match="no kernel log"):
        survey_sosreport(str(tmp_path))
    trees.file(tmp_path, LOGS[0], LOG)
    with pytest.raises(Error, match="No such file"):
        survey_sosreport(str(tmp_path))
    with pytest.raises(Error, match="no such NVMe controller; there is nvme0, nvme1"):
        survey_sosreport(sosreport(tmp_path), ["nvme7"])
