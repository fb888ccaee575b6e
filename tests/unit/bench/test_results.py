# SPDX-License-Identifier: GPL-2.0-or-later
"""The page of results."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from bench.cases import CASES
from bench.figures import Measurements, Usage
from bench.model import OURS, Case, Contenders, Mark, at_most
from bench.results import Result, is_met, page, show, table


@contextmanager
def nobody(size: int) -> Iterator[Contenders]:
    yield {}


def result(*marks: Mark, note: str = "") -> Result:
    measurements = Measurements()
    measurements.add(1, OURS, Usage(0.15, 0.3, 20_000_000))
    measurements.add(1, "cat", Usage(0.1, 0.2))
    measurements.missing[1, "a|b"] = "not installed"
    return Result(Case("case", 3, "`work`", nobody, marks, unit="rows", note=note), "6.12.43", measurements)


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "not measured"), (0.14, "0.14"), (1.2345, "1.23"), (1234.5, "1234"), (2.0, "2")]
)
def test_figures_have_three_digits(value: float | None, shown: str) -> None:
    assert show(value) == shown


@pytest.mark.parametrize(("value", "most", "least"), [(1.0, True, True), (1.1, False, True), (0.9, True, False)])
def test_a_mark_is_met_at_its_limit(value: float, most: bool, least: bool) -> None:
    assert is_met(Mark("x", lambda seen: None, 1.0), value) is most
    assert is_met(Mark("x", lambda seen: None, 1.0, at_least=True), value) is least


def test_tables_have_a_cell_for_each_column() -> None:
    assert list(table(("a", "b"), [["1|2", "3"]])) == ["| a | b |", "| --- | --- |", "| 1\\|2 | 3 |"]


def test_what_is_reached_stands_beside_what_was_measured() -> None:
    lines = page([result(at_most(OURS, "cat", 1.6), at_most(OURS, "cat", 1.2))], ["today"]).splitlines()
    assert "| 3 | `work` | CPU, kprobe-tool / cat | 1.5 x | ≤ 1.6 x | yes |" in lines
    assert "| 3 | `work` | CPU, kprobe-tool / cat | 1.5 x | ≤ 1.2 x | **no** |" in lines
    assert "| 1 rows | kprobe-tool | 150 | 300 | 20 | 1 |" in lines
    assert "| 1 rows | cat | 100 | 200 |  | 1 |" in lines
    assert "- today" in lines


def test_a_mark_that_is_missed_says_why() -> None:
    met, missed = at_most(OURS, "cat", 1.6, why="not shown"), at_most(OURS, "cat", 1.2, why="cat does nothing.")
    text = page([result(met, missed)], [])
    assert "| 3 | `work` | CPU, kprobe-tool / cat | 1.5 x | cat does nothing. |" in text.splitlines()
    assert "not shown" not in text
    assert "Where a mark is missed" not in page([result(met)], [])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_mark_can_say_why_it_is_missed(case: Case) -> None:
    assert [mark.what for mark in case.marks if not mark.why] == []


def test_who_is_missing_is_said() -> None:
    lines = page([result(at_most(OURS, "a|b", 1.6), note="Why.")], []).splitlines()
    assert "| 3 | `work` | CPU, kprobe-tool / a\\|b | not measured | ≤ 1.6 x | not measured |" in lines
    assert "| 1 rows | a\\|b | not installed |  |  |  |" in lines
    assert lines[-1] == "Why."


def test_a_case_that_could_not_be_measured_says_why() -> None:
    case = Case("case", 3, "`work`", nobody, [at_most(OURS, "cat", 1)])
    text = page([Result(case, "", Measurements(), "no kernel")], [])
    assert "Not measured: no kernel" in text
