# SPDX-License-Identifier: GPL-2.0-or-later
"""Which parts of a controller's row people see."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kprobe_tool.commands.nvme_queues import rows
from kprobe_tool.commands.nvme_queues.rows import ControllerRows, mapped_row
from kprobe_tool.probes.nvme.ask import Subject, Survey
from kprobe_tool.probes.nvme.controllers import Controller, Cpus, Hctx, LoggedQueues, NvmePath
from kprobe_tool.probes.nvme.request import QueueRequest
from kprobe_tool.probes.nvme.split import Split
from kprobe_tool.probes.nvme.types import TypeSource
from kprobe_tool.report.document import Row

PATH = NvmePath(
    "nvme0c0n1",
    (Hctx(0, (0, 1), False, 127, None, "default"), Hctx(1, (), False, 127, None, "read")),
    type_source=TypeSource.DEBUGFS,
)


@pytest.mark.parametrize(
    ("cell", "row", "shown"),
    [
        (rows.asked_cell, {"asked": {"value": 8, "exact": True}}, "8"),
        (rows.asked_cell, {"asked": {"value": 8, "exact": False}}, "8?"),
        (rows.asked_cell, {"asked": {"value": None, "exact": False}}, None),
        (rows.mapped_cell, {"mapped": {"total": 4, "default": 2, "read": 2, "poll": 0}}, "2/2/0"),
        (rows.mapped_cell, {"mapped": {"total": 4, "default": None, "read": None, "poll": None}}, 4),
        (rows.mapped_cell, {"mapped": None}, None),
        (rows.findings_cell, {"findings": [{}, {}]}, 2),
        (rows.devices_cell, {"paths": [{"device": "nvme0c0n1"}]}, ["nvme0c0n1"]),
        (rows.hctxs_cell, {"paths": []}, None),
        (
            rows.hctxs_cell,
            {
                "paths": [
                    {"hctxs": [{"index": 0, "type": None, "cpus": [0, 1]}, {"index": 1, "type": "read", "cpus": []}]}
                ]
            },
            "0:?:0,1 1:read:-",
        ),
        (rows.maps_cell, {"maps": [{"type": "read", "nr_queues": 4, "queue_offset": 2}]}, "read=4@2"),
    ],
)
def test_cells_show_their_part_of_a_row(cell: Callable[[Row], object], row: Row, shown: object) -> None:
    assert cell(row) == shown


@pytest.mark.parametrize(
    ("controller", "expected"),
    [
        (Controller("nvme0", paths=(PATH,)), {"total": 2, "default": 1, "read": 1, "poll": 0, "source": "sysfs"}),
        (
            Controller("nvme0", logged=LoggedQueues(split=Split(2, 1, 0))),
            {"total": 3, "default": 2, "read": 1, "poll": 0, "source": "kernel-log"},
        ),
        # Half a path says nothing about how many there are.
        (Controller("nvme0", paths=(NvmePath("nvme0c0n1", PATH.hctxs, complete=False),)), None),
        (Controller("nvme0"), None),
    ],
)
def test_mapped_queues_are_counted_by_type(controller: Controller, expected: Row | None) -> None:
    assert mapped_row(controller) == expected


def test_rows_are_made_as_often_as_they_are_looked_at() -> None:
    subjects = tuple(Subject(Controller(name), QueueRequest(None, None)) for name in ("nvme0", "nvme1"))
    found = ControllerRows(Survey(Cpus(None, None), None, subjects, {}))
    assert len(found) == 2
    for _ in range(2):
        assert [row["controller"] for row in found] == ["nvme0", "nvme1"]


def test_each_finding_has_a_row() -> None:
    controllers: list[Row] = [
        {"controller": "nvme0", "findings": [{"id": "a"}, {"id": "b"}]},
        {"controller": "x", "findings": []},
    ]
    assert list(rows.finding_rows(controllers)) == [
        {"controller": "nvme0", "id": "a"},
        {"controller": "nvme0", "id": "b"},
    ]
