# SPDX-License-Identifier: GPL-2.0-or-later
"""What instructions need of a kernel: each one by itself, and all together by whether they form a loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import iter_unpack
from sys import byteorder

from kprobe_tool.native import bpf_insn as insn
from kprobe_tool.probes.verifier.floor import features
from kprobe_tool.probes.verifier.floor.features import Feature

JUMPS = frozenset({insn.BPF_JMP, insn.BPF_JMP32})
LESS = frozenset({insn.BPF_JLT, insn.BPF_JLE, insn.BPF_JSLT, insn.BPF_JSLE})
EXCHANGES = frozenset({insn.BPF_XCHG, insn.BPF_CMPXCHG})
ORDERED = frozenset({insn.BPF_LOAD_ACQ, insn.BPF_STORE_REL})


@dataclass(frozen=True)
class DecodedInsn:
    """struct bpf_insn, decoded: ``op`` is the operation of a jump or of arithmetic, ``mode`` that of a load or "
    "store."""

    code: int
    src: int
    off: int
    imm: int

    @property
    def kind(self) -> int:
        """The class of the instruction: BPF_LDX, BPF_JMP and so on."""
        return self.code & 0x07

    @property
    def op(self) -> int:
        return self.code & 0xF0

    @property
    def mode(self) -> int:
        return self.code & 0xE0


def decode(data: bytes) -> list[DecodedInsn]:
    """The instructions of a section. Which half of a byte has which register depends on the host's byte order."""
    whole = data[: len(data) - len(data) % insn.INSN_SIZE]
    shift = 4 if byteorder == "little" else 0
    return [DecodedInsn(code, regs >> shift & 0xF, off, imm) for code, regs, off, imm in iter_unpack("=BBhi", whole)]


def features_of(each: DecodedInsn) -> Iterator[Feature]:
    """What an instruction itself needs, besides what it refers to."""
    if each.kind in JUMPS:
        yield from jump_features(each)
    elif each.kind == insn.BPF_LDX and each.mode == insn.BPF_MEMSX:
        yield features.SIGNED_LOAD
    elif each.kind == insn.BPF_STX and each.mode == insn.BPF_ATOMIC:
        yield from atomic_features(each)
    elif each.kind in {insn.BPF_ALU, insn.BPF_ALU64}:
        yield from arithmetic_features(each)


def jump_features(each: DecodedInsn) -> Iterator[Feature]:
    if each.kind == insn.BPF_JMP32 and each.op == insn.BPF_JA:
        yield features.GOTOL
    elif each.op == insn.BPF_JCOND:
        yield features.MAY_GOTO
    elif each.code == insn.BPF_JMP | insn.BPF_JA | insn.BPF_X:
        yield features.GOTOX
    elif each.kind == insn.BPF_JMP32:
        yield features.JUMP32
    elif each.op in LESS:
        yield features.JUMP_IF_LESS


def atomic_features(each: DecodedInsn) -> Iterator[Feature]:
    if each.imm in ORDERED:
        yield features.ACQUIRE
    elif each.imm in EXCHANGES:
        yield features.EXCHANGE
    elif each.imm & ~insn.BPF_FETCH:
        yield features.BITWISE
    elif each.imm & insn.BPF_FETCH:
        yield features.FETCH


def arithmetic_features(each: DecodedInsn) -> Iterator[Feature]:
    if each.op == insn.BPF_END and each.kind == insn.BPF_ALU64:
        yield features.BSWAP
    elif each.op in {insn.BPF_DIV, insn.BPF_MOD} and each.off:
        yield features.SIGNED_DIVISION
    elif each.op == insn.BPF_MOV and each.off and each.code & insn.BPF_X:
        casts = each.kind == insn.BPF_ALU64 and each.off == 1
        yield features.ADDR_SPACE_CAST if casts else features.SIGNED_MOVE


def targets(insns: Sequence[DecodedInsn], here: int) -> Iterator[int]:
    """The instructions that can come after one; calls are not followed."""
    each = insns[here]
    if each.code == insn.LD_IMM64:
        yield here + 2
        return
    if each.kind not in JUMPS or each.op == insn.BPF_CALL:
        yield here + 1
        return
    if each.op == insn.BPF_EXIT:
        return
    if each.op == insn.BPF_JA:
        if not each.code & insn.BPF_X:
            yield here + 1 + (each.imm if each.kind == insn.BPF_JMP32 else each.off)
        return
    yield here + 1
    if each.op != insn.BPF_JCOND:
        # may_goto counts its rounds, and needs more than loops do.
        yield here + 1 + each.off


def has_loop(insns: Sequence[DecodedInsn]) -> bool:
    """Whether control can come back: a walk like that of kernel/bpf/verifier.c, check_cfg()."""
    entered, left = set[int](), set[int]()
    stack: list[tuple[int, Iterator[int]]] = []

    def enter(place: int) -> None:
        entered.add(place)
        stack.append((place, targets(insns, place)))

    if not insns or not any(each.kind in JUMPS and (each.off < 0 or each.kind == insn.BPF_JMP32) for each in insns):
        return False
    enter(0)
    while stack:
        place, ways = stack[-1]
        following = next(ways, None)
        if following is None:
            left.add(place)
            stack.pop()
        elif following in entered and following not in left:
            return True
        elif following not in entered and 0 <= following < len(insns):
            enter(following)
    return False
