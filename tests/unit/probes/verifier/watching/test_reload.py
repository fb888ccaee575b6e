# SPDX-License-Identifier: GPL-2.0-or-later
"""File descriptors in the instructions of a program that is loaded again."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.watching.reload import Unable, file_descriptors


def insn(code: int, regs: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return bytes([code, regs]) + off.to_bytes(2, "little") + imm.to_bytes(4, "little")


def test_file_descriptors_are_found_in_instructions() -> None:
    program = insn(0xB7) + insn(0x18, 0x11, imm=5) + insn(0, imm=0) + insn(0x18, 0x22, imm=6) + insn(0, imm=8)
    assert file_descriptors(program + insn(0x18, 0x01, imm=7) + insn(0) + insn(0x95)) == [12, 28]
    # The second half of a load of 64 bits is no instruction.
    assert file_descriptors(insn(0x18, 0x01) + insn(0x18, 0x11, imm=5) + insn(0x95)) == []
    assert file_descriptors(insn(0x95)[:3]) == []


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (insn(0x18, 0x51) + insn(0), "array of file descriptors"),
        (insn(0x18, 0x41) + insn(0), "callbacks"),
        (insn(0x18, 0x31) + insn(0, imm=9), "module's BTF"),
        (insn(0x85, 0x20, off=1), "kfuncs of a module"),
    ],
)
def test_programs_that_cannot_be_loaded_again_say_why(program: bytes, why: str) -> None:
    with pytest.raises(Unable, match=why):
        file_descriptors(program)
