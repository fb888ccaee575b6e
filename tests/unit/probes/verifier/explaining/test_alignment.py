# SPDX-License-Identifier: GPL-2.0-or-later
"""Accesses that are not aligned, and those that are called so and are something else."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import CauseClass

from .logs import START, check, explain_lines


def test_a_stack_access_at_an_odd_offset_wants_alignment() -> None:
    diagnosis = explain_lines(
        START,
        "0: (7b) *(u64 *)(r1 +4) = r0",
        "misaligned stack access off (0x0; 0x0)+-16+4 size 8",
    )
    check(diagnosis, CauseClass.SOURCE, "at offset -12 of the stack", "aligned(8)")


def test_a_value_at_an_odd_offset_is_no_matter_of_the_stack() -> None:
    diagnosis = explain_lines(START, "0: (79) r0 = *(u64 *)(r6 +4)", "misaligned value access off 0+0+4 size 8")
    assert "stack" not in diagnosis.reason


def test_a_number_is_called_misaligned() -> None:
    diagnosis = explain_lines(
        START,
        "0: (79) r2 = *(u64 *)(r1 +112)        ; R1=ctx() R2=scalar()",
        "1: (db) lock *(u64 *)(r2 +0) += r3",
        "misaligned access off (0x0; 0xffffffffffffffff)+0+0 size 8",
    )
    check(diagnosis, CauseClass.SOURCE, "this instruction would change it")
