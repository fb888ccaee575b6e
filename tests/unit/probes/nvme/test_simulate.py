# SPDX-License-Identifier: GPL-2.0-or-later
"""What each released rule would do: the request, the grant, the crash, and why."""

from __future__ import annotations

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.probes.nvme.simulate import KERNELS, LARGEST, Scenario, parse, simulate
from kprobe_tool.probes.nvme.split import Algorithm


def reasons(text: str) -> list[str]:
    return [simulation.reason for simulation in simulate(parse(text))]


def test_scenarios_are_parsed() -> None:
    assert parse("io=8") == Scenario(8)
    assert parse("io=8,write=2,poll=0,granted=4,cpus=16,vectors=3,previous=6") == Scenario(8, 2, 0, 4, 16, 3, 6)
    assert parse(f"io={LARGEST}").io == LARGEST


@pytest.mark.parametrize(
    "text",
    [
        *("", "write=4", "io=0", "io=4,granted=0", "io=4,cpus=0", "io=4,io=5", "io=4,read=5", "io", "io=-1", "io=+1"),
        *(f"io={LARGEST + 1}", "io=\u0664", "io=4,", "io= 4", "options=4"),
    ],
)
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(Error):
        parse(text)


def test_cpus_that_are_not_told_limit_nothing() -> None:
    assert parse("io=2,write=9").enough_cpus == 9
    assert parse("io=2,write=9,cpus=4").enough_cpus == 4
    assert parse("io=2,write=9").as_dict()["cpus"] == 9


def test_each_algorithm_has_a_row_the_oldest_first() -> None:
    found = simulate(parse("io=4"))
    assert [each.algorithm for each in found] == list(Algorithm)
    assert [each.kernels for each in found] == [KERNELS[algorithm] for algorithm in Algorithm]


def test_all_that_is_asked_for_is_granted_and_survives() -> None:
    found = simulate(parse("io=4"))
    assert [(each.outcome.asked, each.outcome.nr_hw_queues, each.outcome.crashes) for each in found] == [
        (4, 4, False)
    ] * 3
    assert reasons("io=4") == ["every CPU is mapped to a queue that exists"] * 3


def test_fewer_kill_the_first_kernels_only() -> None:
    oldest, *others = reasons("io=8,write=2,poll=2,granted=4")
    assert oldest == (
        "the kernel crashes (NULL dereference): CPUs are mapped to all queues that were asked for, and hctx 4 does "
        "not exist"
    )
    assert all("poll" in reason for reason in others)


def test_a_smaller_grant_at_a_reconnect_keeps_older_counts() -> None:
    """Counts from the connect before stay where a smaller grant does not set them."""
    newest = reasons("io=2,write=2,poll=2,cpus=4,previous=6,granted=3")[-1]
    assert "read or poll queues are counted as at the connect before, and hctx " in newest
    assert "every CPU" in reasons("io=2,write=2,poll=2,cpus=4,previous=6,granted=6")[-1]


def test_a_connect_before_that_did_not_survive() -> None:
    oldest = reasons("io=8,write=2,previous=4,granted=10")[0]
    assert oldest.startswith("the kernel crashes at the connect before already ")


def test_a_queue_without_a_cpu_cannot_connect() -> None:
    assert reasons("io=2,write=6,poll=2,cpus=4")[-1] == ("hctx 4 gets no CPU, so that it cannot be connected (EXDEV)")
