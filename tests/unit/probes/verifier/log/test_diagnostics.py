# SPDX-License-Identifier: GPL-2.0-or-later
"""Blocks of diagnostics, as kernel/bpf/diagnostics.c of Linux v7.3 writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobe_tool.probes.verifier.diagnosis import Line, PathEvent, Place
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
from kprobe_tool.probes.verifier.log import diagnostics

SOURCE = """\
Unreleased reference id=2 alloc_insn=4

Verification failed: Resource Lifetime Safety: Unreleased resource

Reason:
  Owned resource (id=2) was acquired at instruction 4 and still needs to be released before this exit
  path.

At:
  submit @ prog.c:21:3
  Source context:
      19 |         if (!record)
      20 | ...
  >>> 21 |         return 0;
         |         ^-- error: owned resource (id=2) still needs release
      22 | }
      23 | ...
  Instruction context:
      11 | (b7) r0 = 0
  >>> 12 | (95) exit

Active lock:
  prog.c:9:2
       | ^-- acquired: active bpf_spin_lock has verifier identity 3
  Instruction context:
  >>>  2 | (85) call bpf_spin_lock#93

Causal path:
  insn 4
       | ^-- acquired: owned resource (id=2)
  Instruction context:
  >>>  4 | (85) call bpf_ringbuf_reserve#131
       5 | (15) if r0 == 0x0 goto pc+1

  12 intermediate causal-history events omitted

  insn 5
       | ^-- branch: took the true branch of this conditional, goto
       |     followed
  Instruction context:
  >>>  5 | (15) if r0 == 0x0 goto pc+1

Suggestion:
  Release or transfer ownership of the acquired resource on every path before the program exits.

BPF_EXIT instruction in main prog would lead to reference leak
processed 9 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""


def the_block() -> diagnostics.Block:
    (block,) = (part for part in diagnostics.split_blocks(SOURCE.splitlines()) if isinstance(part, diagnostics.Block))
    return block


def test_every_section_is_read() -> None:
    block = the_block()
    assert (block.category, block.problem) == ("Resource Lifetime Safety", "Unreleased resource")
    assert block.reason == (
        "Owned resource (id=2) was acquired at instruction 4 and still needs to be released before this exit path."
    )
    assert block.suggestion == (
        "Release or transfer ownership of the acquired resource on every path before the program exits."
    )
    place = block.at.place
    assert (place.function, place.file, place.line, place.column) == ("submit", "prog.c", 21, 3)
    assert (place.insn, place.instruction, place.source) == (12, "(95) exit", "        return 0;")
    assert [line.number for line in place.source_context] == [19, 20, 21, 22, 23]
    assert place.instruction_context == (Line(11, "(b7) r0 = 0"), Line(12, "(95) exit"))
    assert block.at.message == "owned resource (id=2) still needs release"


def test_an_active_lock_is_read() -> None:
    (lock,) = the_block().lock
    assert (lock.kind, lock.place.insn, lock.place.file, lock.place.line) == ("acquired", 2, "prog.c", 9)
    assert lock.message == "active bpf_spin_lock has verifier identity 3"


def test_the_causal_path_is_read() -> None:
    acquired, omitted, branch = the_block().path
    assert (acquired.kind, acquired.message, acquired.place.insn) == ("acquired", "owned resource (id=2)", 4)
    assert omitted == PathEvent("note", "12 intermediate causal-history events omitted", Place())
    assert (branch.kind, branch.place.insn) == ("branch", 5)
    assert branch.message == "took the true branch of this conditional, goto followed"


def test_what_stands_around_a_block_stays_text() -> None:
    parts = diagnostics.split_blocks(SOURCE.splitlines())
    texts = [part for part in parts if isinstance(part, str) and part]
    assert texts[0] == "Unreleased reference id=2 alloc_insn=4"
    assert texts[1] == "BPF_EXIT instruction in main prog would lead to reference leak"


def test_several_blocks_are_one_diagnosis_and_others() -> None:
    diagnosis = explain_bytes((SOURCE[: SOURCE.index("BPF_EXIT")] + SOURCE.replace("id=2", "id=7")).encode())
    assert diagnosis.native
    assert diagnosis.message == "Unreleased reference id=2 alloc_insn=4"
    (other,) = diagnosis.others
    assert other.message == "Unreleased reference id=7 alloc_insn=4"
    assert other.rule == "unreleased-reference"
    assert "BPF_EXIT instruction in main prog would lead to reference leak" in diagnosis.details


def test_thousands_of_blocks_give_a_hundred_diagnoses_at_most() -> None:
    block = SOURCE[SOURCE.index("Verification") : SOURCE.index("BPF_EXIT")]
    diagnosis = explain_bytes((block * 3000 + SOURCE).encode())
    assert diagnosis.native
    assert 1 <= len(diagnosis.others) <= 100


@pytest.mark.parametrize("size", range(0, len(SOURCE), 37))
def test_a_block_cut_anywhere_has_a_reason(size: int) -> None:
    for part in diagnostics.split_blocks(SOURCE[:size].splitlines()):
        assert isinstance(part, str | diagnostics.Block)
    tail = SOURCE[size:].encode()
    assert explain_bytes(tail, "EINVAL").reason


def test_a_block_without_its_beginning_is_not_recognised() -> None:
    diagnosis = explain_bytes(SOURCE[SOURCE.index("Causal path:") : SOURCE.index("BPF_EXIT")].encode(), "ENOSPC")
    assert diagnosis.native
    assert not diagnosis.recognised
    assert diagnosis.category is None
    assert [step.kind for step in diagnosis.path] == ["acquired", "note", "branch"]
    assert diagnosis.suggestion is not None
    assert diagnosis.truncated is not None


def test_a_block_without_a_problem_has_its_category() -> None:
    block = diagnostics.parse_block(["Verification failed: Verifier Error", "", "Reason:", "  x"])
    assert (block.category, block.problem, block.reason) == ("Verifier Error", None, "x")
    assert block.at.place == Place()


LABELS = ("error", "acquired", "released", "branch", "update", "spilled", "invalidated", "context", "note")
TEXTS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
SENTENCES = st.lists(TEXTS, min_size=1, max_size=30).map(" ".join)


def wrap(text: str, first: str, following: str) -> list[str]:
    """Text as the kernel wraps it: at blanks, so that a line with its prefix has 100 columns at most."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        prefix = following if lines else first
        if line and len(prefix) + len(line) + 1 + len(word) > 100:
            lines.append(prefix + line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, (following if lines else first) + line]


def event(label: str, message: str, insn: int) -> list[str]:
    """An event without source, as the kernel writes it."""
    return [
        f"  insn {insn}",
        *wrap(f"{label}: {message}", "       | ^-- ", "       |     "),
        "  Instruction context:",
        f"  >>> {insn} | (95) exit",
    ]


@given(
    st.lists(st.tuples(st.sampled_from(LABELS), SENTENCES, st.integers(0, 9999)), max_size=6), SENTENCES, SENTENCES
)
def test_what_is_written_is_read(events: list[tuple[str, str, int]], reason: str, suggestion: str) -> None:
    lines = ["", "Verification failed: Memory Safety: Access outside bounds", "", "Reason:"]
    lines += wrap(reason, "  ", "  ")
    lines += ["", "At:", *event("error", reason, 7), "", "Causal path:"]
    for number, each in enumerate(events):
        lines += [*([""] if number else []), *event(*each)]
    lines += ["", "Suggestion:", *wrap(suggestion, "  ", "  "), ""]
    (block,) = (part for part in diagnostics.split_blocks(lines) if isinstance(part, diagnostics.Block))
    assert (block.reason, block.suggestion, block.at.message) == (reason, suggestion, reason)
    assert [(step.kind, step.message, step.place.insn) for step in block.path] == events
