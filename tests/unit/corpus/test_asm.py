# SPDX-License-Identifier: GPL-2.0-or-later
"""The assembler of the corpus: what the kernel's disassembler would show again."""

from __future__ import annotations

import sys

import pytest

from ...corpus.asm import assemble

SYMBOLS = {("map", "hash"): 5, ("kfunc", "bpf_throw"): 0x1234, ("typeid", "task_struct"): 77}

INSTRUCTIONS = {
    "exit": "95 00 0000 00000000",
    "r0 = 1": "b7 00 0000 01000000",
    "w1 = -1": "b4 01 0000 ffffffff",
    "r1 = r10": "bf a1 0000 00000000",
    "r2 += -8": "07 02 0000 f8ffffff",
    "w3 s>>= 3": "c4 03 0000 03000000",
    "r0 = -r0": "87 00 0000 00000000",
    "r1 = *(u32 *)(r0 +8)": "61 01 0800 00000000",
    "r1 = *(s8 *)(r2 -1)": "91 21 ffff 00000000",
    "*(u64 *)(r10 -8) = r1": "7b 1a f8ff 00000000",
    "*(u16 *)(r10 -2) = 7": "6a 0a feff 07000000",
    "lock *(u64 *)(r10 -8) += r1": "db 1a f8ff 00000000",
    "lock r2 = xchg *(u32 *)(r10 -4)": "c3 2a fcff e1000000",
    "r0 = *(u8 *)skb[14]": "30 00 0000 0e000000",
    "r1 = 0x100000002 ll": "18 01 0000 02000000 00 00 0000 01000000",
    "r1 = map hash": "18 11 0000 05000000 00 00 0000 00000000",
    "r1 = value hash +8": "18 21 0000 05000000 00 00 0000 08000000",
    "r2 = typeid task_struct": "b7 02 0000 4d000000",
    "call helper#7": "85 00 0000 07000000",
    "call kfunc bpf_throw": "85 20 0000 34120000",
    "goto -1": "05 00 ffff 00000000",
    "gotol +2": "06 00 0000 02000000",
    "raw 0d 01 00 00 00 00 00 00": "0d 01 0000 00000000",
    "if r1 s> 4 goto +1": "65 01 0100 04000000",
    "if w1 & r2 goto +0": "4e 21 0000 00000000",
}

of_little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="the expected bytes are little-endian")


def resolve(kind: str, name: str) -> int:
    return SYMBOLS[kind, name]


@of_little_endian
@pytest.mark.parametrize("text", INSTRUCTIONS)
def test_each_form_of_an_instruction_is_assembled(text: str) -> None:
    assert assemble(text, resolve).hex() == INSTRUCTIONS[text].replace(" ", "")


def test_labels_count_wide_instructions_twice() -> None:
    code = assemble("# a note\nagain: r1 = map hash\n if r1 == 0 goto again\n call f; exit; f: exit", resolve)
    assert code == assemble("r1 = map hash; if r1 == 0 goto -3; raw 85 10 00 00 01 00 00 00; exit; exit", resolve)


@pytest.mark.parametrize("text", ["r1 := 2", "goto nowhere", "call kfunc unheard_of", "exit exit"])
def test_what_is_wrong_is_refused(text: str) -> None:
    with pytest.raises((ValueError, LookupError)):
        assemble(text, resolve)
