# SPDX-License-Identifier: GPL-2.0-or-later
"""The split model: against what kernels logged, and by its own rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobe_tool.probes.nvme.split import (
    Algorithm,
    ConnectOutcome,
    Options,
    QueueMap,
    Split,
    connect,
    deadly_grants,
    request,
)

FIXED = (Algorithm.TRANSPORT, Algorithm.FABRICS)

# (options, the target's limit, "mapped D/R/P", which of the hctxs exist): logged by 6.1.0-56, 6.12.43 and 7.2.12, all
# with four CPUs and rdma_rxe, which has a completion vector for each.
LOGGED = [
    (Options(4), 128, Split(4, 0, 0)),
    (Options(4), 2, Split(2, 0, 0)),
    (Options(1), 128, Split(1, 0, 0)),
    (Options(2, 2), 128, Split(2, 2, 0)),
    (Options(2, 0, 2), 128, Split(2, 0, 2)),
    (Options(2, 1, 1), 128, Split(1, 2, 1)),
    (Options(4, 2, 2), 6, Split(2, 4, 0)),
    (Options(4, 2, 2), 3, Split(3, 0, 0)),
    (Options(4, 2), 3, Split(3, 0, 0)),
    (Options(3), 128, Split(3, 0, 0)),
]


@pytest.mark.parametrize("algorithm", FIXED)
@pytest.mark.parametrize(("options", "limit", "mapped"), LOGGED)
def test_the_split_is_that_which_kernels_logged(
    algorithm: Algorithm, options: Options, limit: int, mapped: Split
) -> None:
    outcome = connect(algorithm, options, granted=limit, cpus=4, comp_vectors=4)
    assert outcome.io_queues == mapped
    assert not outcome.crashes
    assert outcome.nr_hw_queues == mapped.default + mapped.read + mapped.poll
    assert outcome.types == ("default",) * mapped.default + ("read",) * mapped.read + ("poll",) * mapped.poll


def test_the_shrink_that_oopsed_lacks_queues() -> None:
    """6.1.192, 6.12.43 and 7.2.12: "mapped 2/2/2", three granted, "mapped 1/2/2", dead in blk_mq_map_swqueue()."""
    for algorithm in FIXED:
        before = connect(algorithm, Options(2, 2, 2), granted=128, cpus=4)
        assert before.io_queues == Split(2, 2, 2)
        after = connect(algorithm, Options(2, 2, 2), granted=3, cpus=4, previous=before)
        assert after.io_queues == Split(1, 2, 2)
        assert after.missing == (3, 4)


def test_the_request_algorithm_dies_of_any_shortfall() -> None:
    """v5.0: any shortfall is deadly, also without write and poll queues; with write queues even a full grant is."""
    assert connect(Algorithm.REQUEST, Options(4), granted=4, cpus=4).missing == ()
    assert connect(Algorithm.REQUEST, Options(4), granted=3, cpus=4).missing == (3,)
    full = connect(Algorithm.REQUEST, Options(2, 2), granted=4, cpus=4)
    assert full.io_queues == Split(2, 4, 0)
    assert full.missing == (4, 5)


def test_the_request_algorithm_counts_no_more_write_queues_than_read_queues() -> None:
    """v5.0: no more write queues than read queues, which READ counts once more."""
    options = Options(1, 3, 2)
    assert request(Algorithm.REQUEST, options, 4) == 4
    assert connect(Algorithm.REQUEST, options, granted=4, cpus=4).io_queues == Split(1, 2, 2)


@pytest.mark.parametrize(
    ("algorithm", "options", "offset"),
    [
        (Algorithm.REQUEST, Options(2, 2, 2), 6),
        (Algorithm.REQUEST, Options(4, 0, 2), 4),
        (Algorithm.FABRICS, Options(2, 2, 2), 4),
        (Algorithm.FABRICS, Options(4, 0, 2), 4),
    ],
)
def test_the_poll_queues_begin_where_the_algorithm_says(algorithm: Algorithm, options: Options, offset: int) -> None:
    assert connect(algorithm, options, granted=99, cpus=4).maps[2] == QueueMap("poll", 2, offset)


def test_a_poll_map_without_queues_stays_as_it_was() -> None:
    """It stays as it was allocated, with all hardware queues of that time, also when fewer are granted later."""
    first = connect(Algorithm.FABRICS, Options(4, 2, 2), granted=6, cpus=4)
    cleared = QueueMap("poll", 6, 0, cleared=True)
    assert first.maps == (QueueMap("default", 2, 0), QueueMap("read", 4, 2), cleared)
    assert first.poll_on_zero
    later = connect(Algorithm.FABRICS, Options(4, 2, 2), granted=5, cpus=4, previous=first)
    assert later.maps == (QueueMap("default", 1, 0), QueueMap("read", 4, 1), cleared)
    assert not connect(Algorithm.FABRICS, Options(4, 2, 2), granted=8, cpus=4).poll_on_zero


def test_completion_vectors_count_before_v6_5() -> None:
    assert request(Algorithm.TRANSPORT, Options(8, 8, 8), 8, 2) == 2 + 2 + 8
    assert request(Algorithm.FABRICS, Options(8, 8, 8), 8, 2) == 24
    assert connect(Algorithm.TRANSPORT, Options(4, 4), granted=99, cpus=4, comp_vectors=1).io_queues == Split(1, 1, 0)
    assert connect(Algorithm.FABRICS, Options(4, 4), granted=99, cpus=4, comp_vectors=1).io_queues == Split(4, 4, 0)


def test_no_queue_at_all_is_no_split() -> None:
    with pytest.raises(ValueError, match="no queue"):
        connect(Algorithm.FABRICS, Options(4), granted=0, cpus=4)


def test_deadly_grants_are_listed() -> None:
    assert deadly_grants(Algorithm.FABRICS, Options(2, 2, 2), Split(2, 2, 2), 6, cpus=4) == (1, 2, 3, 4)
    assert deadly_grants(Algorithm.FABRICS, Options(4), Split(4), 4, cpus=4) == ()


counts = st.integers(1, 40)
optional = st.integers(0, 40)
options_of = st.builds(Options, counts, optional, optional)


def total(outcome: ConnectOutcome) -> int:
    return outcome.io_queues.default + outcome.io_queues.read + outcome.io_queues.poll


@given(st.sampled_from(FIXED), options_of, counts, counts, st.none() | counts)
def test_fresh_connect_is_sound(
    algorithm: Algorithm, options: Options, granted: int, cpus: int, vectors: int | None
) -> None:
    """Never more queues than granted, at least one default queue, none of them twice, nothing missing."""
    # Options that were parsed on this host: nr_io_queues is limited to its CPUs.
    options = Options(min(options.nr_io_queues, cpus), options.nr_write_queues, options.nr_poll_queues)
    outcome = connect(algorithm, options, granted=granted, cpus=cpus, comp_vectors=vectors)
    assert outcome.nr_hw_queues == min(granted, outcome.asked)
    assert total(outcome) == outcome.nr_hw_queues
    assert outcome.io_queues.default >= 1
    assert outcome.io_queues.read <= options.nr_io_queues
    assert outcome.io_queues.poll <= options.nr_poll_queues
    assert not outcome.io_queues.read or outcome.io_queues.default <= options.nr_write_queues
    assert not outcome.crashes


@given(options_of, counts, counts)
def test_more_granted_never_gives_less(options: Options, granted: int, cpus: int) -> None:
    """One queue more is one queue more in the sum and as many poll queues at least."""
    options = Options(min(options.nr_io_queues, cpus), options.nr_write_queues, options.nr_poll_queues)
    fewer = connect(Algorithm.FABRICS, options, granted=granted, cpus=cpus)
    more = connect(Algorithm.FABRICS, options, granted=granted + 1, cpus=cpus)
    assert total(fewer) <= total(more) <= total(fewer) + 1
    assert fewer.io_queues.read <= more.io_queues.read
    assert fewer.io_queues.poll <= more.io_queues.poll


@given(options_of, counts, counts, counts)
def test_shrinking_is_deadly_with_read_or_poll_queues_only(
    options: Options, first: int, second: int, cpus: int
) -> None:
    options = Options(min(options.nr_io_queues, cpus), options.nr_write_queues, options.nr_poll_queues)
    before = connect(Algorithm.FABRICS, options, granted=first, cpus=cpus)
    after = connect(Algorithm.FABRICS, options, granted=second, cpus=cpus, previous=before)
    if after.nr_hw_queues >= before.nr_hw_queues or not (before.io_queues.read or before.io_queues.poll):
        assert not after.crashes
    if after.crashes:
        deadly = deadly_grants(Algorithm.FABRICS, options, before.io_queues, before.nr_hw_queues, cpus=cpus)
        assert after.nr_hw_queues in deadly


@given(options_of, counts, counts)
def test_the_request_algorithm_without_write_queues_dies_exactly_of_a_shortfall(
    options: Options, granted: int, cpus: int
) -> None:
    """v5.0 and v5.1 without write queues die exactly of a shortfall."""
    options = Options(options.nr_io_queues, 0, options.nr_poll_queues)
    outcome = connect(Algorithm.REQUEST, options, granted=granted, cpus=cpus)
    assert outcome.crashes == (granted < outcome.asked)
