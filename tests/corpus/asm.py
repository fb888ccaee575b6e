# SPDX-License-Identifier: GPL-2.0-or-later
"""BPF instructions from text that reads like the verifier's own log.

    r1 = *(u32 *)(r0 +8)        *(u64 *)(r10 -8) = r1       *(u32 *)(r10 -4) = 7
    r0 = 1      w0 = 1          r0 += r1    w0 s>>= 3       r0 = -r0
    r1 = 0x100000000 ll         r1 = map hash               r1 = value array +8
    r1 = ksym bpf_prog_active   r1 = func label             r1 = typeid task_struct
    if r1 s> 4 goto label       if w1 & r2 goto +1          goto label      gotol label
    call helper#1               call kfunc bpf_throw        call label      exit
    lock *(u64 *)(r10 -8) += r1     lock r1 = xchg *(u64 *)(r10 -8)     raw 85 00 00 00 02 00 00 00
    label:

``;`` separates instructions of one line, ``#`` at the start of a line is a comment. Numbers after goto are relative.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Callable

from kprobe_tool.native.bpf_insn import (
    BPF_ALU,
    BPF_ALU64,
    BPF_JMP,
    BPF_JMP32,
    BPF_LD,
    BPF_LDX,
    BPF_PSEUDO_BTF_ID,
    BPF_PSEUDO_CALL,
    BPF_PSEUDO_FUNC,
    BPF_PSEUDO_KFUNC_CALL,
    BPF_PSEUDO_MAP_FD,
    BPF_PSEUDO_MAP_VALUE,
    BPF_ST,
    BPF_STX,
    CALL,
    LD_IMM64,
)

Resolve = Callable[[str, str], int]
"""(kind, name): the fd of a ``map``, the BTF id of a ``kfunc``, variable (``ksym``) or struct (``typeid``)."""

BPF_X = 0x08
BPF_MEM, BPF_MEMSX, BPF_ATOMIC = 0x60, 0x80, 0xC0
SIZES = {"32": 0x00, "16": 0x08, "8": 0x10, "64": 0x18}

ALU = {
    "+=": 0x00,
    "-=": 0x10,
    "*=": 0x20,
    "/=": 0x30,
    "|=": 0x40,
    "&=": 0x50,
    "<<=": 0x60,
    ">>=": 0x70,
    "%=": 0x90,
    "^=": 0xA0,
    "=": 0xB0,
    "s>>=": 0xC0,
}
BPF_NEG = 0x80
JUMPS = {
    "==": 0x10,
    ">": 0x20,
    ">=": 0x30,
    "&": 0x40,
    "!=": 0x50,
    "s>": 0x60,
    "s>=": 0x70,
    "<": 0xA0,
    "<=": 0xB0,
    "s<": 0xC0,
    "s<=": 0xD0,
}
BPF_EXIT = 0x90
PSEUDO = {
    "map": BPF_PSEUDO_MAP_FD,
    "value": BPF_PSEUDO_MAP_VALUE,
    "ksym": BPF_PSEUDO_BTF_ID,
    "func": BPF_PSEUDO_FUNC,
}

REG = r"([rw])(\d+)"
MEMORY = r"\*\(([us])(8|16|32|64) \*\)\(r(\d+) ([+-]\w+)\)"
PATTERNS = {
    name: re.compile(pattern + r"$")
    for name, pattern in {
        "raw": r"raw ((?:[0-9a-f]{2} ?){8})",
        "exit": r"exit",
        "call": r"call (?:helper#(-?\d+)|kfunc (\w+)|(\w+))",
        "goto": r"(gotol?) (\S+)",
        "if": rf"if {REG} (\S+) (?:[rw](\d+)|(-?\w+)) goto (\S+)",
        "atomic": rf"lock (?:r(\d+) = (xchg|fetch_add) )?{MEMORY}(?: \+= r(\d+))?",
        "load": rf"r(\d+) = {MEMORY}",
        "store": rf"{MEMORY} = (?:r(\d+)|(-?\w+))",
        "ll": r"r(\d+) = (-?\w+) ll",
        "pseudo": r"r(\d+) = (map|value|ksym|func) (\w+)(?: ([+-]\w+))?",
        "typeid": r"r(\d+) = typeid (\w+)",
        "neg": rf"{REG} = -[rw]\2",
        "skb": r"r0 = \*\(u(8|16|32) \*\)skb\[(?:r(\d+)|(\d+))\]",
        "alu": rf"{REG} (\S*=) (?:[rw](\d+)|(-?\w+))",
    }.items()
}


def integer(text: str) -> int:
    return int(text, 0)


def insn(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    """struct bpf_insn."""
    regs = src << 4 | dst if sys.byteorder == "little" else dst << 4 | src
    return struct.pack("=BBhI", code, regs, off, imm & 0xFFFFFFFF)


def wide_insn(dst: int, src: int, low: int, high: int) -> bytes:
    return insn(LD_IMM64, dst, src, 0, low) + insn(0, 0, 0, 0, high)


def operand(register: str | None, immediate: str | None) -> tuple[int, int, int]:
    """BPF_X or BPF_K, the source register, the immediate."""
    return (BPF_X, int(register), 0) if register is not None else (0, 0, integer(immediate or "0"))


def encode(line: str, here: int, labels: dict[str, int], resolve: Resolve) -> bytes:
    """One instruction; ``here`` is its number."""

    def target(label: str) -> int:
        return int(label) if label[0] in "+-" else labels[label] - here - 1

    matches = ((name, pattern.match(line)) for name, pattern in PATTERNS.items())
    name, match = next(((name, match) for name, match in matches if match), ("", None))
    if match is None:
        raise ValueError(f"not an instruction: {line!r}")
    word = match.groups()
    if name == "raw":
        return bytes.fromhex(word[0])
    if name == "exit":
        return insn(BPF_JMP | BPF_EXIT)
    if name == "call":
        helper, kfunc, label = word
        if helper is not None:
            return insn(CALL, imm=int(helper))
        if kfunc is not None:
            return insn(CALL, src=BPF_PSEUDO_KFUNC_CALL, imm=resolve("kfunc", kfunc))
        return insn(CALL, src=BPF_PSEUDO_CALL, imm=target(label))
    if name == "goto":
        return insn(BPF_JMP, off=target(word[1])) if word[0] == "goto" else insn(BPF_JMP32, imm=target(word[1]))
    if name == "if":
        kind, dst, op, src, imm, label = word
        mode, reg, value = operand(src, imm)
        return insn((BPF_JMP if kind == "r" else BPF_JMP32) | JUMPS[op] | mode, int(dst), reg, target(label), value)
    if name == "atomic":
        to, op, _, size, base, off, src = word
        imm = {None: 0, "xchg": 0xE1, "fetch_add": 0x01}[op]
        return insn(BPF_STX | BPF_ATOMIC | SIZES[size], int(base), int(to or src), integer(off), imm)
    if name == "load":
        dst, sign, size, base, off = word
        return insn(
            BPF_LDX | SIZES[size] | (BPF_MEM if sign == "u" else BPF_MEMSX), int(dst), int(base), integer(off)
        )
    if name == "store":
        _, size, base, off, src, imm = word
        mode, reg, value = operand(src, imm)
        return insn((BPF_STX if mode else BPF_ST) | SIZES[size] | BPF_MEM, int(base), reg, integer(off), value)
    if name == "ll":
        value = integer(word[1]) & 0xFFFFFFFFFFFFFFFF
        return wide_insn(int(word[0]), 0, value, value >> 32)
    if name == "pseudo":
        dst, kind, symbol, plus = word
        low = target(symbol) if kind == "func" else resolve("map" if kind == "value" else kind, symbol)
        return wide_insn(int(dst), PSEUDO[kind], low, integer(plus or "0"))
    if name == "typeid":
        return insn(BPF_ALU64 | ALU["="], int(word[0]), imm=resolve("typeid", word[1]))
    if name == "neg":
        return insn((BPF_ALU64 if word[0] == "r" else BPF_ALU) | BPF_NEG, int(word[1]))
    if name == "skb":
        mode, reg, value = (0x40, int(word[1]), 0) if word[1] else (0x20, 0, integer(word[2]))
        return insn(BPF_LD | SIZES[word[0]] | mode, 0, reg, 0, value)
    kind, dst, op, src, imm = word
    mode, reg, value = operand(src, imm)
    return insn((BPF_ALU64 if kind == "r" else BPF_ALU) | ALU[op] | mode, int(dst), reg, 0, value)


def width(line: str) -> int:
    """How many instructions a line takes: 64-bit immediates take two."""
    return 2 if PATTERNS["ll"].match(line) or PATTERNS["pseudo"].match(line) else 1


def assemble(text: str, resolve: Resolve) -> bytes:
    """Raises ValueError for what is no instruction, LookupError where the kernel has no such symbol."""
    labels: dict[str, int] = {}
    lines: list[str] = []
    here = 0
    for part in re.split(r"[;\n]", re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)):
        *names, line = re.split(r"(?<=\w): ?", " ".join(part.split()))
        labels |= dict.fromkeys(names, here)
        if line:
            lines.append(line)
            here += width(line)
    code = b""
    for line in lines:
        code += encode(line, len(code) // 8, labels, resolve)
    return code
