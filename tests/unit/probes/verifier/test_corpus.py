# SPDX-License-Identifier: GPL-2.0-or-later
"""The logs of six real kernels: what is said about them, with the kernel's own diagnostics and without."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from kprobe_tool.probes.verifier.diagnosis import Diagnosis, LogOutcome
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
from kprobe_tool.probes.verifier.log import diagnostics
from kprobe_tool.probes.verifier.messages.table import TABLE
from tests.corpus.programs import PROGRAMS
from tests.unit.corpus.test_corpus import RELEASES, index, log

KEEP_THE_HEAD = ("5.10.", "6.1.")
"""Kernels before v6.4 keep the beginning of a log that is too long, later ones the end."""
RIGHT_MIN = 0.95
"""The part of all logs whose category and problem must be those expected."""


@dataclass(frozen=True)
class Recorded:
    """One log, and what its index says of it."""

    release: str
    name: str
    text: bytes
    errno: str | None

    @property
    def whole(self) -> bool:
        return not self.name.endswith(".truncated")

    def __str__(self) -> str:
        return f"{self.release}-{self.name}"


ALL = [
    Recorded(release, name, log(release, name), about["errno"])
    for release in RELEASES
    for name, about in sorted(index(release).items())
    # The others are programs that this kernel could not be asked about.
    if "absent" not in about
]
EXPECTED = {program.name: program for program in PROGRAMS}
WITH_BLOCKS = [each for each in ALL if diagnostics.HEADER.encode() in each.text]


def without_blocks(log: Recorded) -> Diagnosis:
    """Our own diagnosis, of what is left when the kernel's diagnostics are taken out."""
    parts = diagnostics.split_blocks(log.text.decode().splitlines())
    text = "\n".join(part for part in parts if isinstance(part, str))
    return explain_bytes(text.encode(), log.errno)


def test_there_is_a_corpus() -> None:
    assert len({each.release for each in ALL}) >= 5
    assert len({each.name for each in ALL}) >= 80
    assert len(WITH_BLOCKS) >= 100


@pytest.mark.parametrize("log", WITH_BLOCKS, ids=str)
def test_we_agree_with_the_kernel(log: Recorded) -> None:
    """Category, problem and place from the classic messages alone are those of the kernel's diagnostics.

    Where a message is about the program as a whole and says no instruction, ours has no place.
    """
    theirs, ours = explain_bytes(log.text, log.errno), without_blocks(log)
    assert theirs.native
    assert not ours.native
    assert (ours.category, ours.problem) == (theirs.category, theirs.problem)
    assert ours.message == theirs.message
    assert ours.place.insn in {theirs.place.insn, None}
    if ours.place.insn is None:
        assert any("neither the place" in note for note in ours.notes)
    # Of a line that the compiler made the kernel says 0, and we the nearest real one.
    if ours.place.line is not None and theirs.place.line != 0:
        assert ours.place.line == theirs.place.line


JUDGED = [each for each in ALL if each.whole and each.name.removesuffix(".level2") in EXPECTED]


def mistake_of(log: Recorded) -> str | None:
    """What is wrong with the diagnosis of a log, or None."""
    program = EXPECTED[log.name.removesuffix(".level2")]
    diagnosis = explain_bytes(log.text, log.errno)
    accepted = diagnosis.outcome is LogOutcome.ACCEPTED
    found = ("", "") if accepted else (str(diagnosis.category), str(diagnosis.problem))
    wanted = program.expected(log.release)
    return None if found == wanted else f"{log}: {found} instead of {wanted}: {diagnosis.message}"


@pytest.mark.slow
def test_nearly_all_are_told_right() -> None:
    misses = [miss for each in JUDGED if (miss := mistake_of(each)) is not None]
    print("\n".join(misses))
    assert len(misses) <= (1 - RIGHT_MIN) * len(JUDGED), misses


@pytest.mark.slow
def test_one_message_has_one_meaning_on_all_kernels() -> None:
    """A row that the corpus has is told with the same category everywhere; unknown messages are few."""
    diagnoses = [explain_bytes(each.text, each.errno) for each in ALL if each.whole]
    unknown = [each.message for each in diagnoses if not each.recognised and each.message is not None]
    assert unknown == []
    used = {each.rule for each in diagnoses if each.rule is not None}
    assert len(used) >= 100
    assert used <= {row.rule for group in TABLE for row in group.rows}


@pytest.mark.parametrize("log", [each for each in ALL if not each.whole], ids=str)
def test_truncated_logs_are_told_as_such(log: Recorded) -> None:
    diagnosis = explain_bytes(log.text, log.errno)
    assert diagnosis.truncated is not None
    assert diagnosis.outcome is (LogOutcome.UNKNOWN if log.release.startswith(KEEP_THE_HEAD) else LogOutcome.REJECTED)


@pytest.mark.parametrize(
    "log", [each for each in ALL if each.errno and each.release.startswith(KEEP_THE_HEAD)], ids=str
)
def test_a_log_that_is_cut_anywhere_is_rejected_or_unknown(log: Recorded) -> None:
    """Up to v6.3 the end is lost: half a line is no message."""
    for size in range(1, min(len(log.text), 1024), 7):
        if log.text[:size].isspace() or b"processed" in log.text[:size]:
            continue
        diagnosis = explain_bytes(log.text[:size], "ENOSPC")
        if diagnosis.recognised:
            assert diagnosis.outcome is LogOutcome.REJECTED
            assert diagnosis.message is not None
        else:
            assert diagnosis.outcome is LogOutcome.UNKNOWN
            assert diagnosis.truncated is not None


@pytest.mark.slow
def test_every_step_is_on_the_path() -> None:
    """Steps name instructions that the log has, in the order of the path; a path without loops goes up."""
    for each in ALL:
        if not each.whole or not each.text.strip():
            continue
        diagnosis = without_blocks(each)
        for step in diagnosis.path:
            assert step.message
            assert step.place.insn is None or f"{step.place.insn}: (".encode() in each.text


OTHER_THREADS = frozenset(
    {"pointer-offset-constant", "pointer-offset-unbounded", "pointer-offset-range", "argument-memory"}
)
"""Where the kernel follows the pointer or the buffer, we follow the number that is wrong about it."""


@pytest.mark.parametrize("log", WITH_BLOCKS, ids=str)
def test_our_path_has_the_steps_of_the_kernel_s(log: Recorded) -> None:
    theirs, ours = explain_bytes(log.text, log.errno), without_blocks(log)
    wanted = {step.place.insn for step in theirs.path if step.kind != "note"}
    found = {step.place.insn for step in ours.path if step.kind not in {"note", "lost-bound"}}
    if ours.rule == "unreadable-register":
        # The kernel goes on to values before the one that was taken away.
        assert found <= wanted
    elif ours.rule not in OTHER_THREADS:
        assert wanted <= found
