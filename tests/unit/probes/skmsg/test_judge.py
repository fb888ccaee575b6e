# SPDX-License-Identifier: GPL-2.0-or-later
"""What real kernels answered, and what the check makes of it and of answers that no kernel gave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kprobe_tool.checks import CHECKS, Method, Status
from kprobe_tool.native.programs.skmsg_check import Record
from kprobe_tool.native.sk_msg import PageKind
from kprobe_tool.probes.skmsg import checks
from kprobe_tool.probes.skmsg.cases import Must, SocketKind
from kprobe_tool.probes.skmsg.experiment import Controls, CopyBitExperiment, Run, experiment_of
from kprobe_tool.probes.skmsg.judge import CaseOutcome, judge, results, statement

DATA = Path(__file__).parents[2] / "data" / "skmsg"
UNFIXED, FIXED, CLOSED = "6.12.43+deb12-amd64", "6.1.0-56-amd64", "7.2.12+deb13-amd64"
IDS = [check.id for check in CHECKS if check.system == "skmsg"]


def load_experiment(release: str) -> CopyBitExperiment:
    return experiment_of(json.loads((DATA / f"{release}.json").read_text(encoding="utf-8")))


@pytest.fixture(params=[UNFIXED, FIXED, CLOSED])
def done(request: pytest.FixtureRequest) -> CopyBitExperiment:
    return load_experiment(request.param)


def outcomes(done: CopyBitExperiment, socket: SocketKind) -> set[str]:
    return {result.outcome.value for result in results(done) if result.socket is socket}


@pytest.mark.parametrize(
    ("release", "ktls", "tcp"),
    [
        (UNFIXED, "affected", "not-applicable"),
        (FIXED, "closed", "ok"),
        (CLOSED, "closed", "not-applicable"),
    ],
)
def test_real_kernels_have_their_outcomes(release: str, ktls: str, tcp: str) -> None:
    found = results(load_experiment(release))
    assert len(found) == 12
    assert outcomes(load_experiment(release), SocketKind.KTLS) == {ktls}
    assert outcomes(load_experiment(release), SocketKind.TCP) == {tcp}


def last_of(run: Run) -> Record:
    last = run.record(run.case.last)
    assert last is not None
    return last


def with_last(run: Run, record: Record) -> Run:
    return run._replace(records=[record if each is last_of(run) else each for each in run.records])


def runs(release: str, must: Must) -> Iterator[tuple[CopyBitExperiment, Run]]:
    done = load_experiment(release)
    kind = SocketKind.TCP if release == FIXED else SocketKind.KTLS
    yield from ((done, run) for run in done.runs if run.socket is kind and run.case.must is must)


EXPOSED = list(runs(UNFIXED, Must.NOT_EXPOSE))
STALE = list(runs(UNFIXED, Must.NOT_BE_STALE))
KEPT = list(runs(FIXED, Must.NOT_EXPOSE))
GONE = list(runs(FIXED, Must.NOT_BE_STALE))
COPIED = [
    (done, run)
    for done in (load_experiment(UNFIXED), load_experiment(CLOSED))
    for run in done.runs
    if run.socket is SocketKind.TCP
]


def name(value: object) -> str:
    return value.case.name if isinstance(value, Run) else ""


@pytest.mark.parametrize(("done", "run"), EXPOSED, ids=name)
def test_a_range_elsewhere_is_no_verdict(done: CopyBitExperiment, run: Run) -> None:
    last = last_of(run)
    moved = with_last(run, last._replace(page_offset=last.page_offset + 1))
    assert judge(done, moved).outcome is CaseOutcome.UNKNOWN


@pytest.mark.parametrize(("done", "run"), EXPOSED, ids=name)
def test_no_range_is_no_exposure(done: CopyBitExperiment, run: Run) -> None:
    """Only where the kernel's own bit says so as well."""
    last = last_of(run)
    for copy, outcome in ((False, CaseOutcome.UNKNOWN), (True, CaseOutcome.OK)):
        elements = tuple(replace(element, copy=copy, exposed=not copy) for element in last.sg.elements)
        kept = last._replace(length=0, sg=last.sg._replace(elements=elements))
        assert judge(done, with_last(run, kept)).outcome is outcome


@pytest.mark.parametrize(("done", "run"), [*EXPOSED, *KEPT], ids=name)
def test_a_page_that_was_not_made_out_is_no_copy(done: CopyBitExperiment, run: Run) -> None:
    """It has a copy bit, so it is somebody's page: perhaps the file's, in a way that a newer kernel keeps it."""
    assert judge(done._replace(ino=done.ino + 1), run).outcome is CaseOutcome.UNKNOWN
    assert judge(done._replace(dev=done.dev + 1), run).outcome is CaseOutcome.UNKNOWN


@pytest.mark.parametrize(("done", "run"), COPIED, ids=name)
@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (PageKind.KERNEL, CaseOutcome.NOT_APPLICABLE),
        (PageKind.ANON, CaseOutcome.NOT_APPLICABLE),
        (PageKind.NONE, CaseOutcome.UNKNOWN),
        (PageKind.CACHE, CaseOutcome.UNKNOWN),
    ],
)
def test_only_memory_that_is_nobodys_is_a_copy(
    done: CopyBitExperiment, run: Run, kind: PageKind, outcome: CaseOutcome
) -> None:
    """The page of a file that was not made out, and has no copy bit, would be the very bug."""
    seen = run.record(run.case.seen)
    assert seen is not None
    elements = tuple(replace(element, kind=kind) for element in seen.sg.elements)
    other = seen._replace(sg=seen.sg._replace(elements=elements))
    records = [other if record is seen else record for record in run.records]
    assert judge(done, run._replace(records=records)).outcome is outcome


@pytest.mark.parametrize(("done", "run"), COPIED, ids=name)
def test_a_message_of_nothing_is_no_copy(done: CopyBitExperiment, run: Run) -> None:
    assert judge(done, run).outcome is CaseOutcome.NOT_APPLICABLE
    place = run.case.seen
    empty = [
        record._replace(sg=record.sg._replace(elements=())) if (record.call, record.after) == place else record
        for record in run.records
    ]
    assert judge(done, run._replace(records=empty)).outcome is CaseOutcome.UNKNOWN


@pytest.mark.parametrize(("done", "run"), COPIED, ids=name)
def test_one_page_among_copies_is_no_copy(done: CopyBitExperiment, run: Run) -> None:
    """Not made out, and with a copy bit, beside one that was copied."""
    seen_first = run.record(run.case.seen)
    assert seen_first is not None
    element = seen_first.sg.elements[0]
    both = seen_first._replace(sg=seen_first.sg._replace(elements=(element, replace(element, copy=True))))
    records = [both if record is seen_first else record for record in run.records]
    assert judge(done, run._replace(records=records)).outcome is CaseOutcome.UNKNOWN


@pytest.mark.parametrize(("done", "run"), [each for each in EXPOSED if each[1].case.byte], ids=name)
def test_a_range_within_an_element_begins_as_far_into_the_page(done: CopyBitExperiment, run: Run) -> None:
    """It begins as far into the page as into the element."""
    last, byte = last_of(run), run.case.byte
    file = next(element for element in last.sg.elements if (element.dev, element.ino) == (done.dev, done.ino))
    whole = replace(file, offset=100, length=1000)
    there = last._replace(page_offset=100 + byte, length=1, sg=last.sg._replace(elements=(whole,)))
    verdict = judge(done, with_last(run, there))
    assert (verdict.outcome, verdict.reason) == (
        CaseOutcome.AFFECTED,
        "a BPF program could overwrite 1 byte of the cached file",
    )
    assert judge(done, with_last(run, there._replace(page_offset=100 - byte))).outcome is CaseOutcome.UNKNOWN
    assert judge(done, with_last(run, there._replace(length=2))).reason.count("2 bytes") == 1


@pytest.mark.parametrize(("done", "run"), GONE, ids=name)
@pytest.mark.parametrize(
    ("copy", "length", "outcome"),
    [
        (False, 1, CaseOutcome.OK),
        (False, 0, CaseOutcome.AFFECTED),
        (True, 1, CaseOutcome.AFFECTED),
        (True, 0, CaseOutcome.AFFECTED),
    ],
)
def test_either_sign_of_a_stale_bit_decides(
    done: CopyBitExperiment, run: Run, copy: bool, length: int, outcome: CaseOutcome
) -> None:
    last = last_of(run)
    elements = tuple(replace(element, copy=copy) for element in last.sg.elements)
    other = last._replace(length=length, sg=last.sg._replace(elements=elements))
    assert judge(done, with_last(run, other)).outcome is outcome


@pytest.mark.parametrize(("done", "run"), EXPOSED, ids=name)
@pytest.mark.parametrize(
    ("kind", "outcome"),
    [(PageKind.KERNEL, CaseOutcome.OK), (PageKind.NONE, CaseOutcome.UNKNOWN), (PageKind.CACHE, CaseOutcome.UNKNOWN)],
)
def test_what_took_the_place_of_the_file_decides(
    done: CopyBitExperiment, run: Run, kind: PageKind, outcome: CaseOutcome
) -> None:
    last = last_of(run)
    elements = tuple(replace(element, kind=kind, ino=None, dev=None) for element in last.sg.elements)
    other = last._replace(sg=last.sg._replace(elements=elements))
    assert judge(done, with_last(run, other)).outcome is outcome


@pytest.mark.parametrize(("done", "run"), [*STALE, *GONE], ids=name)
def test_a_slot_that_was_not_used_again_is_no_verdict(done: CopyBitExperiment, run: Run) -> None:
    last = last_of(run)
    elements = tuple(replace(element, index=element.index + 5) for element in last.sg.elements)
    moved = with_last(run, last._replace(sg=last.sg._replace(elements=elements)))
    assert judge(done, moved).outcome is CaseOutcome.UNKNOWN


@pytest.mark.parametrize(("done", "run"), [*EXPOSED, *STALE, *KEPT, *GONE], ids=name)
def test_an_incomplete_run_is_unknown(done: CopyBitExperiment, run: Run) -> None:
    failed = [record._replace(error=-12) if record.after else record for record in run.records]
    for broken in (
        run._replace(failure="send: Connection reset by peer (ECONNRESET)"),
        run._replace(records=()),
        run._replace(records=[record for record in run.records if record is not last_of(run)]),
        with_last(run, last_of(run)._replace(sg=last_of(run).sg._replace(elements=()))),
        run._replace(records=failed),
    ):
        verdict = judge(done, broken)
        assert verdict.outcome is CaseOutcome.UNKNOWN
        assert verdict.settle
    assert "() fails (ENOMEM)" in judge(done, run._replace(records=failed)).reason


@pytest.mark.parametrize(("done", "run"), [*EXPOSED, *KEPT, *GONE], ids=name)
def test_content_that_changed_is_affected(done: CopyBitExperiment, run: Run) -> None:
    assert judge(done, run._replace(unchanged=False)).outcome is CaseOutcome.AFFECTED


@pytest.mark.parametrize(("done", "run"), KEPT, ids=name)
def test_a_bit_that_was_never_set(done: CopyBitExperiment, run: Run) -> None:
    first = run.records[0]
    elements = tuple(replace(element, copy=False, exposed=True) for element in first.sg.elements)
    bare = first._replace(sg=first.sg._replace(copy=0, elements=elements))
    assert judge(done, run._replace(records=[bare, *run.records[1:]])).outcome is CaseOutcome.AFFECTED


def without_tls(*, loaded: bool | None) -> CopyBitExperiment:
    done = load_experiment(FIXED)
    tcp = [run for run in done.runs if run.socket is SocketKind.TCP]
    return done._replace(runs=tcp, controls=None, no_tls="why", tls_loaded=loaded)


def test_without_tls_the_cases_of_ktls_are_not_applicable() -> None:
    done = without_tls(loaded=False)
    assert outcomes(done, SocketKind.KTLS) == {"not-applicable"}
    finding = checks.finding(done, "skmsg-tls-split-copy")
    assert (finding.status, finding.method, finding.reason) == (Status.NOT_APPLICABLE, Method.CONFIG, "why")
    # What was seen on TCP is an answer.
    assert checks.finding(done, "skmsg-push-pop-copy").status is Status.OK
    assert statement(done)["present"] is None


@pytest.mark.parametrize("loaded", [True, None], ids=["without-cipher", "cannot-be-seen"])
def test_ktls_that_was_not_tried_is_unknown(loaded: bool | None) -> None:
    done = without_tls(loaded=loaded)
    assert outcomes(done, SocketKind.KTLS) == {"unknown"}
    finding = checks.finding(done, "skmsg-tls-split-copy")
    assert finding.status is Status.UNKNOWN
    assert finding.settle


@pytest.mark.parametrize(
    "controls",
    [
        Controls("EINVAL", "EINVAL", "EINVAL"),
        Controls(None, "ENOMEM", "EINVAL"),
        Controls(None, "EINVAL", None),
    ],
)
def test_only_the_three_controls_close_it(controls: Controls) -> None:
    done = load_experiment(FIXED)._replace(controls=controls)
    assert outcomes(done, SocketKind.KTLS) == {"unknown"}


def test_the_reason_has_what_the_controls_of_an_odd_ktls_said() -> None:
    done = load_experiment(FIXED)._replace(controls=Controls(None, "ENOMEM", "EINVAL"))
    (reason,) = {each.reason for each in results(done) if each.socket is SocketKind.KTLS}
    assert "tls: ok, sockmap_then_tls: ENOMEM, tls_then_sockmap: EINVAL" in reason


def test_the_helper_that_failed_is_named() -> None:
    """The one of the last step before the record."""
    done, run = next((done, run) for done, run in [*KEPT, *GONE] if run.case.name == "push+pull")
    for after, helper in ((1, "bpf_msg_push_data"), (2, "bpf_msg_pull_data")):
        records = [each._replace(error=-12 if each.after == after else 0) for each in run.records]
        assert judge(done, run._replace(records=records)).reason == f"{helper}() fails (ENOMEM)"


def test_a_symbol_says_whether_the_kernel_has_the_statement(done: CopyBitExperiment) -> None:
    found = statement(done)
    assert found["method"] == "symbol"
    assert found["present"] is done.merge_open_record
    assert statement(done._replace(merge_open_record=None))["present"] is None


def test_statement_texts_differ() -> None:
    texts = {str(statement(load_experiment(release))["text"]) for release in (UNFIXED, FIXED, CLOSED)}
    assert len(texts) == 3
