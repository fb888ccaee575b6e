# SPDX-License-Identifier: GPL-2.0-or-later
"""Types from CPU lists: the same as the model's, or no answer."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from kprobe_tool.probes.nvme.split import Algorithm, Options, connect
from kprobe_tool.probes.nvme.types import correct_types, deduce_types, poll_on_zero

EVERY = (0, 1, 2, 3)


def test_poll_on_hctx_0_is_default() -> None:
    assert correct_types(["poll", "default", "read"]) == ["default", "default", "read"]
    assert correct_types(["default", "poll"]) == ["default", "poll"]


def test_an_untouched_poll_map_is_deduced() -> None:
    """6.12.43, io=4 write=2 poll=2, six granted: "mapped 2/4/0", hctx 0 with all CPUs."""
    lists = [EVERY, (2, 3), (0,), (1,), (2,), (3,)]
    types = deduce_types(lists, io_poll=True)
    assert types == ["default", "default", "read", "read", "read", "read"]
    assert poll_on_zero(lists, types)


def test_two_answers_are_none() -> None:
    """One default queue, and either four poll queues, or four read queues and no poll queue."""
    assert deduce_types([EVERY, (0,), (1,), (2,), (3,)], io_poll=True) is None
    assert deduce_types([EVERY, (0,), (1,), (2,), (3,)], io_poll=False) == ["default", *["read"] * 4]


def test_one_queue_is_the_default_one() -> None:
    """Poll queues were asked for, and one queue was granted."""
    for io_poll in (True, False):
        assert deduce_types([EVERY], io_poll=io_poll) == ["default"]


def test_lists_that_no_map_gives_have_no_types_beside_an_untouched_poll_map() -> None:
    """Two default queues with the same CPU; two maps behind the default one, of which none can be poll."""
    assert deduce_types([EVERY, (2,), (2,), EVERY], io_poll=True) is None
    assert deduce_types([EVERY, (2, 3), EVERY, EVERY], io_poll=True) is None


def test_an_untouched_poll_map_may_stand_beside_a_queue_of_isolated_cpus() -> None:
    assert poll_on_zero([EVERY, (2,), ()], ["default"] * 3)
    assert not poll_on_zero([(0, 1), (2,), ()], ["default"] * 3)
    assert not poll_on_zero([EVERY, (2,)], ["default", "read"])


def test_a_queue_of_isolated_cpus_only_leaves_the_types_open() -> None:
    """CPU 3 is isolated, there are four default and two read queues: whether the hctx without CPUs ends a map or
    begins the next one is open. If it were read as the latter, three queues would pass for default."""
    assert deduce_types([(0,), (1,), (2,), (), (0, 1), (2,)], io_poll=False) is None
    assert deduce_types([(0,), (1,), (), (0, 1), (), (0,), (1,)], io_poll=True) is None


def test_lists_that_no_map_gives_have_no_types() -> None:
    assert deduce_types([(0, 1), (1, 2)], io_poll=False) is None
    assert deduce_types([(), ()], io_poll=False) is None
    assert deduce_types([(0,), (1,)], io_poll=None) is None
    # Two maps with the same CPUs are two types. Without poll queues no kernel has three.
    assert deduce_types([EVERY, EVERY, EVERY], io_poll=False) is None


@given(
    cpus=st.integers(1, 12),
    io=st.integers(1, 12),
    write=st.integers(0, 12),
    poll=st.integers(0, 12),
    granted=st.integers(1, 40),
    random=st.randoms(use_true_random=False),
)
def test_deduced_types_are_those_of_the_model(
    *, cpus: int, io: int, write: int, poll: int, granted: int, random: Random
) -> None:
    """Lay the model's maps out over CPUs in any order, as blk_mq_map_swqueue() does, and read them back."""
    outcome = connect(Algorithm.FABRICS, Options(min(io, cpus), write, poll), granted=granted, cpus=cpus)
    lists: list[set[int]] = [set() for _ in range(outcome.nr_hw_queues)]
    for each in outcome.maps:
        order = list(range(cpus))
        # Two maps of the same hctxs spread the CPUs in the same way.
        if each.type != "read" or each.queue_offset:
            random.shuffle(order)
            spread = order
        for number, cpu in enumerate(spread):
            lists[0 if each.cleared else each.queue_offset + number % each.nr_queues].add(cpu)
    # An hctx without CPUs, as more write queues than CPUs give, is not in sysfs.
    types = deduce_types([tuple(sorted(each)) for each in lists if each], io_poll=poll > 0)
    expected = [kind for kind in outcome.types if kind is not None]
    if types is None:
        assert poll and expected.count("default") == 1
    else:
        assert types == expected
