# SPDX-License-Identifier: GPL-2.0-or-later
"""Logs small enough to be followed by eye."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import CauseClass, Diagnosis
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes

TRAILER = "processed 9 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0"
START = "0: R1=ctx() R10=fp0"


def explain_lines(*lines: str) -> Diagnosis:
    """What is made of these lines and the one that ends every log."""
    return explain_bytes("".join(f"{line}\n" for line in (*lines, TRAILER)).encode())


def check(diagnosis: Diagnosis, cause_class: CauseClass, *words: str) -> None:
    """The class, with evidence; the words stand in the reason or the suggestion."""
    assert diagnosis.cause_class is cause_class
    assert diagnosis.evidence
    for word in words:
        assert word in f"{diagnosis.reason} {diagnosis.suggestion}"
