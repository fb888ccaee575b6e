# SPDX-License-Identifier: GPL-2.0-or-later
"""What a judge needs and was not read: never an answer, and always a way to get it."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.nvme import needs
from kprobe_tool.probes.nvme.controllers import Controller, Hctx, LoggedQueues, NvmePath, Problem
from kprobe_tool.probes.nvme.split import Split

HCTXS = (Hctx(0, (0,), False, 127, None, "default"),)
PATH = NvmePath("nvme0c0n1", HCTXS)
HANGS = Problem("nvme0: attributes", "not read within 3 s", 110)


def make_controller(**fields: object) -> Controller:
    return Controller(**{"name": "nvme0", **fields})  # type: ignore[arg-type]


def test_what_there_is_is_given() -> None:
    controller = make_controller(transport="tcp", queue_count=5, paths=(PATH,))
    assert needs.transport_of(controller) == "tcp"
    assert needs.granted_of(controller) == 4
    assert needs.mapped_path(controller) is PATH


def test_a_controller_that_has_no_queues_needs_none() -> None:
    assert needs.mapped_path(make_controller(transport="tcp")) is None


@pytest.mark.parametrize(
    ("transport", "expected"), [("rdma", True), ("tcp", True), ("pcie", False), ("fc", False), ("loop", False)]
)
def test_only_rdma_and_tcp_are_rdma_or_tcp(transport: str, expected: bool) -> None:
    assert needs.is_rdma_or_tcp(make_controller(transport=transport)) is expected


def test_a_kernel_log_that_says_how_queues_were_mapped_is_of_rdma_or_tcp() -> None:
    logged = LoggedQueues(granted=4, split=Split(4, 0, 0))
    assert needs.is_rdma_or_tcp(make_controller(logged=logged))
    with pytest.raises(needs.NotRead):
        needs.is_rdma_or_tcp(make_controller(logged=LoggedQueues(granted=4)))


@pytest.mark.parametrize(
    ("function", "what"),
    [(needs.transport_of, "transport"), (needs.granted_of, "queue_count"), (needs.mapped_path, "queues")],
)
def test_what_is_not_there_says_what_would_settle_it(function: object, what: str) -> None:
    """A copy that lacks it asks for a better copy, a controller that hangs for one that does not."""
    assert callable(function)
    with pytest.raises(needs.NotRead, match=f"what was captured does not have its {what}") as caught:
        function(make_controller(paths_read=False))
    assert "/sys" in caught.value.settle
    with pytest.raises(needs.NotRead, match=f"its {what} could not be read: nvme0: attributes: not read") as caught:
        function(make_controller(paths_read=False, problems=(HANGS,)))
    assert "hangs" in caught.value.settle


def test_half_a_path_is_none() -> None:
    with pytest.raises(needs.NotRead, match="queues"):
        needs.mapped_path(make_controller(paths=(NvmePath("nvme0c0n1", HCTXS, complete=False),)))
