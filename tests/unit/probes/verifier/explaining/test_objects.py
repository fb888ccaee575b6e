# SPDX-License-Identifier: GPL-2.0-or-later
"""Causes that the message and its instruction tell alone."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.diagnosis import CauseClass

from .logs import START, check, explain_lines


@pytest.mark.parametrize(
    ("line", "message", "cause_class", "word"),
    [
        ("0: (85) call bpf_get_stack#67", "unknown opcode 8d", CauseClass.COMPILER, "-O2"),
        ("0: (b7) r0 = 0", "unknown opcode 00", CauseClass.COMPILER, "C library"),
        (
            "0: (7b) *(u64 *)(r1 +0) = r2",
            "only read from bpf_array is supported",
            CauseClass.SOURCE,
            "map_lookup_elem",
        ),
        (
            "0: (85) call bpf_map_update_elem#2",
            "invalid indirect access to stack R3 off=-4 size=8",
            CauseClass.SOURCE,
            "a variable of 8 bytes",
        ),
        (
            "0: (4f) r2 |= r1",
            "R2 pointer arithmetic on pkt_end prohibited",
            CauseClass.COMPILER,
            "keeps them apart",
        ),
        ("0: (85) call bpf_redirect#23", "unknown func bpf_redirect#23", CauseClass.ENVIRONMENT, "program type"),
        ("0: (95) exit", "Unreleased reference id=2 alloc_insn=0", CauseClass.SOURCE, "Release it"),
        ("0: (05) goto pc-1", "infinite loop detected at insn 0", CauseClass.SOURCE, "counter"),
    ],
)
def test_one_instruction_is_enough_for_a_cause(line: str, message: str, cause_class: CauseClass, word: str) -> None:
    check(explain_lines(START, line, message), cause_class, word)


def test_a_size_beyond_a_map_value_says_what_to_compare() -> None:
    diagnosis = explain_lines(
        START,
        "0: (85) call bpf_probe_read_user#112",
        "invalid access to map value, value_size=70 off=0 size=16383",
        "R1 min value is outside of the allowed memory range",
    )
    check(diagnosis, CauseClass.SOURCE, "if (size > 70)")
