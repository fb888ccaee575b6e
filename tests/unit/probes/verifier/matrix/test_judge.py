# SPDX-License-Identifier: GPL-2.0-or-later
"""Program by kernel, from what six kernels answered about the corpus."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.floor import judge as floor_judge
from kprobe_tool.probes.verifier.floor.judge import parse_release
from kprobe_tool.probes.verifier.matrix import judge
from kprobe_tool.probes.verifier.matrix.judge import Cell, LoadOutcome
from tests.corpus.objects import object_file
from tests.unit.corpus.test_corpus import RELEASES
from tests.unit.recorded_matrix import answer


def matrix(source: str) -> list[Cell]:
    path = str(object_file(source))
    floors = {each.program.name: each for each in floor_judge.floor(path).programs}
    return judge.cells([answer(release, source, path) for release in reversed(RELEASES)], floors)


@pytest.mark.parametrize("source", ["accepted", "locks", "memory", "objects", "res_locks"])
def test_floor_is_what_kernels_show(source: str) -> None:
    """No kernel below the floor accepts, and what it rejects there is the environment's fault."""
    floors = {each.program.name: each for each in floor_judge.floor(str(object_file(source))).programs}
    for cell in matrix(source):
        release = floors[cell.program].load.release
        assert release is not None
        if parse_release(release) > parse_release(cell.release):
            assert not cell.accepted
            assert cell.cause is CauseClass.ENVIRONMENT, cell
            assert cell.evidence is not None
        if cell.outcome is LoadOutcome.NOT_LOADED:
            assert parse_release(release) > parse_release(cell.release), cell


def test_releases_are_in_order_and_changes_have_evidence() -> None:
    found = matrix("accepted")
    releases = [cell.release for cell in found if cell.program == "accepted_with_functions"]
    assert releases == RELEASES
    (change,) = [each for each in judge.changes(found) if each.program == "accepted_with_functions"]
    assert (change.before.release, change.now.release) == ("5.10.262", "6.1.192")
    assert (change.before.outcome, change.now.outcome) == (LoadOutcome.REJECTED, LoadOutcome.ACCEPTED)
    assert change.before.evidence == "bpf_loop: came with Linux 5.17"
    assert all(cell.insns for cell in found if cell.accepted)


def test_what_a_log_says_stays() -> None:
    """The floor is asked only where the log names no cause."""
    assert judge.with_floor(CauseClass.SOURCE, "so", None, "5.10.262") == (CauseClass.SOURCE, "so")
    floors = floor_judge.floor(str(object_file("accepted"))).programs
    (floor,) = [each for each in floors if each.load.release == "5.17"]
    assert judge.with_floor(CauseClass.SOURCE, "so", floor, "5.10.262") == (CauseClass.SOURCE, "so")
    assert judge.with_floor(CauseClass.UNKNOWN, None, floor, "5.17.1") == (CauseClass.UNKNOWN, None)
    assert judge.with_floor(CauseClass.UNKNOWN, None, floor, "5.16.20")[0] is CauseClass.ENVIRONMENT


def test_a_kfunc_that_is_not_there_is_the_environment_s() -> None:
    """libbpf puts something else in place of its call, of which 6.1 said only that R0 was lost in it."""
    floors = {each.program.name: each for each in floor_judge.floor(str(object_file("objects"))).programs}
    floor = floors["task_used_after_release"]
    assert floor.load.release == "6.2"
    found = judge.with_floor(CauseClass.SOURCE, "nothing sets R0", floor, "6.1.0-56-amd64")
    assert found == (CauseClass.ENVIRONMENT, "bpf_task_from_pid, bpf_task_release: came with Linux 6.2")
    assert judge.with_floor(CauseClass.SOURCE, "so", floor, "6.2.0") == (CauseClass.SOURCE, "so")


def test_releases_are_sorted_by_age() -> None:
    releases = ["7.3.4+deb13-amd64", "5.10.0-46-amd64", "6.12.43+deb12-amd64", "6.1.0-56-amd64", "here"]
    assert sorted(releases, key=judge.age) == [
        "here",
        "5.10.0-46-amd64",
        "6.1.0-56-amd64",
        "6.12.43+deb12-amd64",
        "7.3.4+deb13-amd64",
    ]


def test_refusals_are_of_the_releases_required() -> None:
    found = matrix("accepted")
    assert judge.refusals(found, []) == []
    assert judge.refusals(found, ["6.1.192", "7.2.12"]) == []
    assert {cell.release for cell in judge.refusals(found, ["5.10.262", "7.2.12"])} == {"5.10.262"}


def cell(outcome: LoadOutcome, insns: int | None) -> Cell:
    return Cell("p", "newest", "7.3", outcome, None, insns, None, None, None, None)


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [
        (("accepted", 100), (LoadOutcome.ACCEPTED, 100), None),
        (("accepted", 100), (LoadOutcome.ACCEPTED, 110), None),
        (("accepted", 100), (LoadOutcome.ACCEPTED, 111), "more-instructions"),
        (("accepted", 100), (LoadOutcome.ACCEPTED, 90), None),
        (("accepted", 100), (LoadOutcome.ACCEPTED, 89), "fewer-instructions"),
        (("accepted", 100), (LoadOutcome.ACCEPTED, None), None),
        (("accepted", None), (LoadOutcome.ACCEPTED, 5), None),
        (("accepted", 100), (LoadOutcome.REJECTED, 100), "newly-rejected"),
        (("accepted", 100), (LoadOutcome.NOT_LOADED, None), "newly-rejected"),
        (("rejected", 100), (LoadOutcome.ACCEPTED, 100), "newly-accepted"),
        (("not-loaded", None), (LoadOutcome.REJECTED, 5), None),
    ],
)
def test_a_tenth_more_instructions_is_a_difference(
    before: tuple[str, int | None], now: tuple[LoadOutcome, int | None], kind: str | None
) -> None:
    earlier = {("p", "newest"): {"release": "7.2", "outcome": before[0], "insns_processed": before[1]}}
    found = judge.differences([cell(*now)], earlier)
    assert [each.kind for each in found] == ([] if kind is None else [kind])
    assert judge.differences([cell(*now)], {("q", "newest"): earlier["p", "newest"]}) == []


@pytest.mark.parametrize(
    "rows",
    [
        [{"program": "p"}],
        [{"program": 1, "kernel": "k", "release": "7.3", "outcome": "accepted", "insns_processed": 1}],
        [{"program": "p", "kernel": "k", "release": "7.3", "outcome": "perhaps", "insns_processed": 1}],
        [{"program": "p", "kernel": "k", "release": "7.3", "outcome": "accepted", "insns_processed": "1"}],
        {"a": 1},
        None,
    ],
)
def test_what_is_no_baseline_is_refused(rows: object) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        judge.earlier_rows({"results": rows})
