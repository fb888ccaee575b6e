# SPDX-License-Identifier: GPL-2.0-or-later
"""What a case's records mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from mmap import PAGESIZE
from typing import NamedTuple

from kprobe_tool.errors import errno_name
from kprobe_tool.native.programs.skmsg_check import HELPERS, Record
from kprobe_tool.native.sk_msg import Element, PageKind
from kprobe_tool.probes.skmsg.cases import CASES, Case, Must, SocketKind
from kprobe_tool.probes.skmsg.experiment import TLS_MERGE_OPEN_RECORD, CopyBitExperiment, Run


class CaseOutcome(StrEnum):
    """What one case on one socket found."""

    AFFECTED = "affected"
    OK = "ok"
    CLOSED = "closed"
    """The kernel refuses what the case needs: kTLS on a socket in a sockmap."""
    NOT_APPLICABLE = "not-applicable"
    UNKNOWN = "unknown"


CLOSED = (
    "no BPF program can be put on a kTLS socket: the kernel refuses kTLS on a socket in a sockmap, and the other way "
    "round (EINVAL); kTLS alone works"
)
SETTLE = "a kernel on which the tool can send from a loopback socket in a sockmap"


class Result(NamedTuple):
    """One case on one socket. ``settle`` says what would settle an unknown, else None."""

    case: Case
    socket: SocketKind
    outcome: CaseOutcome
    reason: str
    settle: str | None = None
    run: Run | None = None


class CaseJudgement(NamedTuple):
    """What a case came to on one socket, and why; ``settle`` as in Result."""

    outcome: CaseOutcome
    reason: str
    settle: str | None = None


def unknown(reason: str, settle: str = SETTLE) -> CaseJudgement:
    return CaseJudgement(CaseOutcome.UNKNOWN, reason, settle)


def element_at(record: Record, byte: int) -> tuple[Element, int] | None:
    """The element that has the given byte of the message, and where in the element it is."""
    for element in record.sg.elements:
        if byte < element.length:
            return element, byte
        byte -= element.length
    return None


def is_own(element: Element) -> bool:
    """Whether it is memory of the message's own, and nobody else's."""
    return not element.copy and element.kind in {PageKind.KERNEL, PageKind.ANON}


def judge(experiment: CopyBitExperiment, run: Run) -> CaseJudgement:
    """The verdict on one run."""

    def is_the_file(element: Element) -> bool:
        return (element.dev, element.ino) == (experiment.dev, experiment.ino)

    case = run.case
    if run.unchanged is False:
        return CaseJudgement(CaseOutcome.AFFECTED, "the cached file was changed when it was sent")
    if run.failure is not None:
        return unknown(run.failure)
    seen = run.record(case.seen)
    if seen is None:
        return unknown("the BPF program of the test was not called")
    sent = next((element for element in seen.sg.elements if is_the_file(element)), None)
    if sent is None:
        if not seen.sg.elements or not all(is_own(element) for element in seen.sg.elements):
            # Neither the file's page nor a copy: a newer kernel may keep it in a way that is not read here.
            return unknown("what memory the message refers to was not recognised", "a newer kprobe-tool")
        return CaseJudgement(
            CaseOutcome.NOT_APPLICABLE,
            "no BPF program gets at the cached file this way: the kernel copies what is sent",
        )
    if sent.exposed:
        return CaseJudgement(
            CaseOutcome.AFFECTED,
            "a BPF program could overwrite the cached file: its page is sent without a copy bit",
        )
    failed = next((record for record in run.records if record.error < 0), None)
    if failed is not None:
        step = case.plans[failed.call].steps[failed.after - 1]
        return unknown(f"{HELPERS[step.kind]}() fails ({errno_name(-failed.error)})", "a kernel on which it works")
    last = run.record(case.last)
    found = None if last is None else element_at(last, case.byte)
    if last is None or found is None:
        return unknown("the BPF program of the test was not called again")
    element, within = found
    if case.must is Must.NOT_BE_STALE:
        return judge_stale(last, element, sent, in_file=is_the_file(element))
    return judge_exposed(last, element, within, in_file=is_the_file(element))


def judge_exposed(last: Record, element: Element, within: int, *, in_file: bool) -> CaseJudgement:
    if not in_file:
        if element.kind not in {PageKind.KERNEL, PageKind.ANON}:
            return unknown("what took the place of the file's page was not recognised", "a newer kprobe-tool")
        return CaseJudgement(
            CaseOutcome.OK, "the cached file is safe: the program gets a copy, which is the message's own"
        )
    if last.length == 0:
        # Two witnesses: what the program was given, and the kernel's own bit.
        if not element.copy:
            return unknown("the program got nothing to write to, and yet the file's page has no copy bit")
        return CaseJudgement(
            CaseOutcome.OK,
            "the cached file is safe: its page keeps its copy bit, and a program gets nothing to write",
        )
    if last.page_offset != (element.offset + within) % PAGESIZE:
        return unknown("the program was given another part of the message than the test expects")
    amount = "1 byte" if last.length == 1 else f"{last.length} bytes"
    return CaseJudgement(CaseOutcome.AFFECTED, f"a BPF program could overwrite {amount} of the cached file")


def judge_stale(last: Record, element: Element, sent: Element, *, in_file: bool) -> CaseJudgement:
    if in_file or element.index != sent.index:
        return unknown("nothing took the place of the file's page")
    if element.copy or last.length == 0:
        return CaseJudgement(
            CaseOutcome.AFFECTED,
            "a BPF program is kept from data that it should see: the copy bit of a replaced page is still set",
        )
    return CaseJudgement(
        CaseOutcome.OK, "a BPF program sees what took the place of the file: the copy bit went with the page"
    )


def judge_without_run(experiment: CopyBitExperiment) -> CaseJudgement:
    """Why nothing ran on kTLS."""
    controls = experiment.controls
    if controls is None:
        reason = experiment.no_tls or "kTLS was not tried"
        if experiment.tls_loaded is False:
            return CaseJudgement(CaseOutcome.NOT_APPLICABLE, reason)
        return unknown(reason, "a host on which kTLS is in use, or the cipher loaded by hand")
    if controls.closed:
        return CaseJudgement(CaseOutcome.CLOSED, CLOSED)
    outcomes = ", ".join(f"{name}: {value or 'ok'}" for name, value in controls._asdict().items())
    return unknown(f"kTLS on a socket in a sockmap fails, but not as on a kernel that refuses it ({outcomes})")


def results(experiment: CopyBitExperiment) -> list[Result]:
    """One result for each case and socket."""
    runs = {(run.case.name, run.socket): run for run in experiment.runs}
    found = []
    for case in CASES:
        for socket in case.sockets:
            run = runs.get((case.name, socket))
            judgement = judge_without_run(experiment) if run is None else judge(experiment, run)
            found.append(Result(case, socket, judgement.outcome, judgement.reason, judgement.settle, run))
    return found


def statement(experiment: CopyBitExperiment) -> dict[str, object]:
    """What the kernel's symbols say about merging split records, which is not tried: a bug there corrupts memory."""
    name, present = TLS_MERGE_OPEN_RECORD, experiment.merge_open_record
    unknown = f"whether the kernel merges split records back, by {name}(), is not known: "
    if not experiment.tls_loaded:
        present = None
        reason = (
            "the module tls is not loaded"
            if experiment.tls_loaded is False
            else "whether tls is loaded cannot be seen"
        )
        text = f"{unknown}{reason}"
    elif present is None:
        text = f"{unknown}/proc/kallsyms cannot be read"
    elif not present:
        text = f"the kernel has no {name}(), so it merges no split record back"
    elif experiment.controls is not None and experiment.controls.closed:
        text = f"the kernel has {name}(), which cannot be reached: no kTLS socket is in a sockmap"
    else:
        text = f"the kernel has {name}(); what it does to a split record was not tried"
    return {"symbol": name, "method": "symbol", "present": present, "text": text}


def controls_row(experiment: CopyBitExperiment) -> Mapping[str, object] | None:
    return (
        None
        if experiment.controls is None
        else {**experiment.controls._asdict(), "closed": experiment.controls.closed}
    )


def results_of_check(found: Sequence[Result], check: str) -> list[Result]:
    return [result for result in found if result.case.check == check]
