# SPDX-License-Identifier: GPL-2.0-or-later
"""The logs of five real kernels: what is said about them, with the kernel's own diagnostics and without."""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.probes.verifier import native
from kprobe_tool.probes.verifier.diagnosis import Diagnosis, Outcome
from kprobe_tool.probes.verifier.explain import explain_bytes
from kprobe_tool.probes.verifier.messages import TABLE
from tests.corpus import LOGS
from tests.corpus.programs import PROGRAMS

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


def recorded(directory: Path) -> list[Recorded]:
    """The logs of one kernel; programs that it could not be asked about have none."""
    index: dict[str, dict[str, Any]] = json.loads((directory / "index.json").read_text(encoding="utf-8"))
    found = []
    for name, about in sorted(index.items()):
        plain = directory / f"{name}.txt"
        if "absent" in about:
            continue
        packed = directory / f"{name}.txt.xz"
        text = lzma.decompress(packed.read_bytes()) if packed.exists() else b""
        found.append(Recorded(directory.name, name, plain.read_bytes() if plain.exists() else text, about["errno"]))
    return found


ALL = [log for path in sorted(LOGS.iterdir()) if path.is_dir() for log in recorded(path)]
EXPECTED = {program.name: program for program in PROGRAMS}
WITH_BLOCKS = [log for log in ALL if native.HEADER.encode() in log.text]


def without_blocks(log: Recorded) -> Diagnosis:
    """Our own diagnosis, of what is left when the kernel's diagnostics are taken out."""
    parts = native.split(log.text.decode().splitlines())
    text = "\n".join(part for part in parts if isinstance(part, str))
    return explain_bytes(text.encode(), log.errno)


def test_there_is_a_corpus() -> None:
    assert len({log.release for log in ALL}) >= 5
    assert len({log.name for log in ALL}) >= 80
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
    if ours.place.line is not None:
        assert ours.place.line == theirs.place.line


def missed(log: Recorded) -> str | None:
    """What is wrong with the diagnosis of a log, or None."""
    program = EXPECTED.get(log.name.removesuffix(".level2"))
    if program is None or not log.whole:
        return None
    diagnosis = explain_bytes(log.text, log.errno)
    accepted = diagnosis.outcome is Outcome.ACCEPTED
    found = ("", "") if accepted else (str(diagnosis.category), str(diagnosis.problem))
    wanted = program.expected(log.release)
    return None if found == wanted else f"{log}: {found} instead of {wanted}: {diagnosis.message}"


def test_nearly_all_are_told_right() -> None:
    misses = [miss for log in ALL if (miss := missed(log)) is not None]
    print("\n".join(misses))
    assert len(misses) <= (1 - RIGHT_MIN) * len(ALL), misses


def test_one_message_has_one_meaning_on_all_kernels() -> None:
    """A row that the corpus has is told with the same category everywhere; unknown messages are few."""
    diagnoses = [explain_bytes(log.text, log.errno) for log in ALL if log.whole]
    unknown = [each.message for each in diagnoses if not each.recognised and each.message is not None]
    assert unknown == []
    used = {each.rule for each in diagnoses if each.rule is not None}
    assert len(used) >= 100
    assert used <= {row.rule for row in TABLE}


@pytest.mark.parametrize("log", [log for log in ALL if not log.whole], ids=str)
def test_truncated_logs_are_told_as_such(log: Recorded) -> None:
    diagnosis = explain_bytes(log.text, log.errno)
    assert diagnosis.truncated is not None
    assert diagnosis.outcome is (Outcome.UNKNOWN if log.release.startswith("6.1.") else Outcome.REJECTED)


def test_every_step_is_on_the_path() -> None:
    """Steps name instructions that the log has, in the order of the path; a path without loops goes up."""
    for log in ALL:
        if not log.whole or not log.text.strip():
            continue
        diagnosis = without_blocks(log)
        for step in diagnosis.path:
            assert step.message
            assert step.place.insn is None or f"{step.place.insn}: (".encode() in log.text


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
