# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions as the kernel's disassembler writes them."""

import pytest

from kprobe_tool.probes.verifier.log.disasm import Operation, parse_instruction


@pytest.mark.parametrize(
    ("text", "operation", "writes", "reads"),
    [
        ("r6 = r1", Operation.COPY, "R6", "R1"),
        ("w6 = w1", Operation.COPY, "R6", "R1"),
        ("r1 = (s8)r2", Operation.COPY, "R1", "R2"),
        ("r1 = -8", Operation.CONSTANT, "R1", None),
        ("r1 = 0xff340bac03de8c00", Operation.CONSTANT, "R1", None),
        ("r1 = -r1", Operation.ALU, "R1", None),
        ("r1 = be16 r1", Operation.ALU, "R1", None),
        ("r1 += r2", Operation.ALU, "R1", "R2"),
        ("r1 s>>= 32", Operation.ALU, "R1", None),
        ("w1 &= 255", Operation.ALU, "R1", None),
        ("r0 = *(u64 *)(r1 +8)", Operation.LOAD, "R0", "R1"),
        ("r0 = *(u64 *)(r10 -8)", Operation.FILL, "R0", None),
        ("*(u64 *)(r10 -8) = r1", Operation.SPILL, None, "R1"),
        ("*(u32 *)(r1 +0) = 7", Operation.STORE, None, None),
        ("r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)", Operation.LOAD, "R2", None),
        ("call bpf_map_lookup_elem#1", Operation.CALL, "R0", None),
        ("call pc+3", Operation.SUBPROGRAM, "R0", None),
        ("if r1 s> 0x7 goto pc+2", Operation.BRANCH, None, "R1"),
        ("if w1 != r2 goto pc-2", Operation.BRANCH, None, "R1"),
        ("goto pc-1", Operation.GOTO, None, None),
        ("exit", Operation.EXIT, None, None),
        ("something new", Operation.OTHER, None, None),
    ],
)
def test_instructions_write_and_read_registers(
    text: str, operation: Operation, writes: str | None, reads: str | None
) -> None:
    found = parse_instruction(text)
    assert (found.operation, found.writes, found.reads) == (operation, writes, reads)
