# SPDX-License-Identifier: GPL-2.0-or-later
"""What single instructions need, and whether they go in circles."""

from __future__ import annotations

import pytest

from kprobe_tool.native.bpf_insn import BPF_ALU64, BPF_JMP, BPF_STX
from kprobe_tool.probes.verifier.floor import features, instructions
from kprobe_tool.probes.verifier.floor.features import Feature
from tests.corpus.asm import assemble


def decode_text(text: str) -> list[instructions.DecodedInsn]:
    return instructions.decode(assemble(text, lambda kind, name: 1))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("r0 = 1", []),
        ("r0 += r1", []),
        ("r0 = *(u32 *)(r1 +0)", []),
        ("lock *(u64 *)(r10 -8) += r1", []),
        ("if r1 > 4 goto +0", []),
        ("if r1 < 4 goto +0", [features.JUMP_IF_LESS]),
        ("if r1 s<= r2 goto +0", [features.JUMP_IF_LESS]),
        ("if w1 > 4 goto +0", [features.JUMP32]),
        ("if w1 < 4 goto +0", [features.JUMP32]),
        ("gotol +0", [features.GOTOL]),
        ("lock r1 = xchg *(u64 *)(r10 -8)", [features.EXCHANGE]),
        ("r0 = *(s8 *)(r1 +0)", [features.SIGNED_LOAD]),
        ("raw bf 10 08 00 00 00 00 00", [features.SIGNED_MOVE]),
        ("raw bf 10 01 00 01 00 00 00", [features.ADDR_SPACE_CAST]),
        ("raw d7 00 00 00 10 00 00 00", [features.BSWAP]),
        ("raw dc 00 00 00 10 00 00 00", []),
        ("raw 3f 10 01 00 00 00 00 00", [features.SIGNED_DIVISION]),
        ("raw 9f 10 00 00 00 00 00 00", []),
        ("raw e5 00 01 00 00 00 00 00", [features.MAY_GOTO]),
        ("raw 0d 01 00 00 00 00 00 00", [features.GOTOX]),
        ("raw db 1a f8 ff 01 00 00 00", [features.FETCH]),
        ("raw db 1a f8 ff 50 00 00 00", [features.BITWISE]),
        ("raw db 1a f8 ff f1 00 00 00", [features.EXCHANGE]),
        ("raw db 1a f8 ff 00 01 00 00", [features.ACQUIRE]),
        ("raw db 1a f8 ff 10 01 00 00", [features.ACQUIRE]),
    ],
)
def test_each_instruction_needs_its_feature(text: str, wanted: list[Feature]) -> None:
    (instruction,) = decode_text(text)
    assert list(instructions.features_of(instruction)) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("r0 = 0; exit", False),
        ("again: r0 = 0; goto again", True),
        ("again: r0 += 1; if r0 > 4 goto out; goto again; out: exit", True),
        ("r1 = 0x100000000 ll; again: r0 += 1; if r0 != 4 goto again; exit", True),
        # Back, but never to where it came from.
        ("goto third; second: r0 = 0; exit; third: goto second", False),
        ("again: r0 += 1; gotol again", True),
        # Behind the end, which is another matter.
        ("again: if r0 == 0 goto +100; exit", False),
    ],
)
def test_loops_are_found(text: str, wanted: bool) -> None:
    assert instructions.has_loop(decode_text(text)) is wanted


def test_instructions_are_taken_apart() -> None:
    (store,) = instructions.decode(bytes((BPF_STX | 0xDB & 0xF8, 0x1A, 0xF8, 0xFF, 1, 0, 0, 0)))
    assert (store.kind, store.mode, store.src, store.off, store.imm) == (BPF_STX, 0xC0, 1, -8, 1)
    assert instructions.decode(bytes(12)) == instructions.decode(bytes(8))
    assert instructions.decode(b"") == []
    assert not instructions.has_loop([])
    assert instructions.decode(bytes((BPF_ALU64,)) + bytes(7))[0].kind == BPF_ALU64
    assert instructions.decode(bytes((BPF_JMP,)) + bytes(7))[0].kind == BPF_JMP
