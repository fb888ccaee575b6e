# SPDX-License-Identifier: GPL-2.0-or-later
"""Medians, ratios and exponents."""

import pytest
from bench.figures import Measurements, Usage, divide, growth


def seen(**times: dict[int, list[float]]) -> Measurements:
    """CPU times by contender and size; wall times are twice as long, each run needs a megabyte more."""
    result = Measurements()
    for contender, by_size in times.items():
        for size, runs in by_size.items():
            for number, cpu in enumerate(runs, 1):
                result.add(size, contender, Usage(cpu, 2 * cpu, number * 1_000_000, {"lost": number}))
    return result


def test_the_median_of_the_runs_counts() -> None:
    measurements = seen(ours={1: [3.0, 1.0, 50.0]}, theirs={1: [2.0, 4.0]})
    assert (measurements.cpu(1, "ours"), measurements.wall(1, "ours")) == (3.0, 6.0)
    assert measurements.cpu(1, "theirs") == 3.0
    assert measurements.memory(1, "ours") == 3_000_000
    assert measurements.count("lost", "ours") == 6


def test_what_did_not_run_has_no_figures() -> None:
    measurements = seen(ours={1: [1.0]})
    assert measurements.cpu(1, "theirs") is None
    assert measurements.cpu(2, "ours") is None
    assert measurements.ratio(1, "ours", "theirs") is None
    assert measurements.marginal("ours") is None
    assert measurements.count("seen", "ours") is None
    assert measurements.memory(1, "theirs") is None


def test_a_function_has_no_memory_of_its_own() -> None:
    measurements = Measurements()
    measurements.add(1, "ours", Usage(1.0, 1.0))
    assert measurements.memory(1, "ours") is None


@pytest.mark.parametrize(("one", "other", "ratio"), [(3.0, 2.0, 1.5), (3.0, 0.0, None), (None, 2.0, None)])
def test_a_ratio_needs_two_figures(one: float | None, other: float | None, ratio: float | None) -> None:
    assert divide(one, other) == ratio


def test_one_more_costs_what_the_start_does_not() -> None:
    measurements = seen(ours={0: [0.5], 10: [0.6], 100: [1.5]})
    assert measurements.marginal("ours") == pytest.approx(0.01)
    assert measurements.start("ours") == 0.5
    assert [time for _, time in measurements.beyond_start("ours")] == pytest.approx([0.1, 1.0])


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_is_found(exponent: float) -> None:
    assert growth([(size, 3 * size**exponent) for size in (1, 10, 100)]) == pytest.approx(exponent)


def test_the_exponent_is_that_of_least_squares() -> None:
    """log10 of the times 0, 2, 2 over log10 of the sizes 0, 1, 2: the slope is 1."""
    assert growth([(1, 1.0), (10, 100.0), (100, 100.0)]) == pytest.approx(1.0)


@pytest.mark.parametrize("points", [[], [(10, 1.0)], [(1, -0.1), (10, 0.0), (100, 1.0)], [(10, 1.0), (10, 2.0)]])
def test_two_sizes_that_took_time_are_needed(points: list[tuple[int, float]]) -> None:
    assert growth(points) is None


def test_rows_are_in_the_order_of_the_sizes() -> None:
    measurements = seen(ours={10: [1.0], 1: [1.0]}, theirs={1: [1.0]})
    measurements.missing[10, "theirs"] = "too slow"
    assert list(measurements.rows()) == [(1, "ours"), (1, "theirs"), (10, "ours"), (10, "theirs")]
