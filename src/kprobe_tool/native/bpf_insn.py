# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/bpf_common.h and linux/bpf.h: BPF instructions."""

from __future__ import annotations

import ctypes

# Instruction classes, and the parts of an opcode that are wanted here.
BPF_LD, BPF_LDX, BPF_ST, BPF_STX, BPF_ALU, BPF_JMP, BPF_JMP32, BPF_ALU64 = range(8)
BPF_IMM = 0x00
BPF_MEMSX = 0x80
BPF_ATOMIC = 0xC0
BPF_DW = 0x18
BPF_X = 0x08
BPF_DIV, BPF_MOD, BPF_MOV, BPF_END = 0x30, 0x90, 0xB0, 0xD0
BPF_JA, BPF_CALL, BPF_EXIT, BPF_JCOND = 0x00, 0x80, 0x90, 0xE0
BPF_JLT, BPF_JLE, BPF_JSLT, BPF_JSLE = 0xA0, 0xB0, 0xC0, 0xD0

# Immediates of BPF_ATOMIC, besides BPF_ADD, BPF_OR, BPF_AND and BPF_XOR.
BPF_FETCH = 0x01
BPF_XCHG, BPF_CMPXCHG = 0xE0 | BPF_FETCH, 0xF0 | BPF_FETCH
BPF_LOAD_ACQ, BPF_STORE_REL = 0x100, 0x110

LD_IMM64 = BPF_LD | BPF_IMM | BPF_DW
"""A load of 64 bits, which takes two instructions; src_reg says what the immediate is."""
BPF_PSEUDO_MAP_FD = 1
BPF_PSEUDO_MAP_VALUE = 2
BPF_PSEUDO_BTF_ID = 3
BPF_PSEUDO_FUNC = 4
BPF_PSEUDO_MAP_IDX = 5
BPF_PSEUDO_MAP_IDX_VALUE = 6

CALL = BPF_JMP | BPF_CALL
"""A call; src_reg says of what."""
BPF_PSEUDO_CALL = 1
BPF_PSEUDO_KFUNC_CALL = 2


class bpf_insn(ctypes.Structure):
    """linux/bpf.h, 8 bytes. ``regs`` holds dst_reg and src_reg, 4 bits each, in the machine's bit order."""

    _fields_ = (
        ("code", ctypes.c_uint8),
        ("regs", ctypes.c_uint8),
        ("off", ctypes.c_int16),
        ("imm", ctypes.c_int32),
    )


INSN_SIZE = ctypes.sizeof(bpf_insn)
