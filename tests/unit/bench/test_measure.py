# SPDX-License-Identifier: GPL-2.0-or-later
"""Contenders are run in turn, for real; what they did and what they say comes back."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import pytest
from bench.cases import CASES
from bench.figures import Measurements, Usage
from bench.measure import WorkFailed, dump, load, measure, run
from bench.model import OURS, Case, Command, Contenders, Missing


def quietly(text: str) -> None:
    pass


def test_a_program_takes_time_and_memory() -> None:
    usage = run(Command([sys.executable, "-S", "-c", "x = bytearray(64 << 20)"]))
    assert usage.cpu > 0
    assert usage.wall > 0
    assert usage.memory is not None
    assert usage.memory > 64 << 20


def test_memory_is_the_program_s_and_not_ours() -> None:
    kept = bytearray(b"x") * (128 << 20)
    usage = run(Command(["true"]))
    assert usage.memory is not None
    assert usage.memory < len(kept)


def spin() -> None:
    for _ in range(100_000):
        pass


def test_a_function_takes_time() -> None:
    assert run(Command(spin)).cpu > 0


def fail() -> None:
    raise ValueError("not today")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (Command(["sh", "-c", "echo first >&2; echo last >&2; exit 7"]), "exit status 7: last"),
        (Command(fail), "exit status 125: ValueError: not today"),
    ],
)
def test_work_that_was_not_done_is_no_measurement(command: Command, words: str) -> None:
    with pytest.raises(WorkFailed, match=words):
        run(command)


def test_some_exit_codes_mean_success() -> None:
    assert run(Command(["sh", "-c", "exit 3"], codes=(0, 3))).wall > 0


def test_contenders_take_turns() -> None:
    order: list[str] = []

    @contextmanager
    def noted(name: str) -> Iterator[Mapping[str, float]]:
        order.append(name)
        yield {"seen": 1}

    @contextmanager
    def prepare(size: int) -> Iterator[Contenders]:
        order.append(f"size {size}")
        yield {
            "a": Command(["true"], around=partial(noted, "a")),
            "once": Command(["true"], around=partial(noted, "once"), rounds=1),
            "broken": Command(["false"], around=partial(noted, "broken")),
            "absent": Missing("not installed"),
        }
        order.append("done")

    case = Case("case", 1, "work", prepare)
    seen = measure(case, 2, (1, 2), quietly)
    assert order == [each for size in (1, 2) for each in (f"size {size}", "a", "once", "broken", "a", "done")]
    assert [len(runs) for runs in seen.runs.values()] == [2, 1, 2, 1]
    assert seen.count("seen", "a") == 4
    assert seen.missing == {
        (size, name): reason
        for size in (1, 2)
        for name, reason in (("broken", "exit status 1: "), ("absent", "not installed"))
    }


def test_measurements_come_back_from_a_guest_whole() -> None:
    seen = Measurements()
    seen.add(10, "a", Usage(1.5, 2.5, 3, {"lost": 4}))
    seen.missing[10, "b"] = "not installed"
    assert load(dump("case", seen)) == ("case", seen)


@pytest.mark.parametrize("line", ["", "release 6.12", "{", "7", '{"event": "alive"}'])
def test_other_lines_are_no_measurements(line: str) -> None:
    assert load(line) is None


def test_cases_have_names_of_their_own_and_rows_in_order() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert [case.row for case in CASES] == sorted(case.row for case in CASES)


def test_no_mark_needs_what_was_not_measured() -> None:
    for case in CASES:
        for mark in case.marks:
            assert mark.figure(Measurements()) is None, (case.name, mark.what)


def test_what_cannot_be_prepared_is_not_measured() -> None:
    @contextmanager
    def prepare(size: int) -> Iterator[Contenders]:
        if size == 2:
            raise OSError("no room")
        yield {OURS: Command(["true"])}

    seen = measure(Case("case", 1, "work", prepare), 1, (1, 2), quietly)
    assert list(seen.runs) == [(1, OURS)]
    assert seen.missing == {(2, OURS): "no room"}
