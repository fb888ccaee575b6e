# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/bpf_common.h and linux/bpf.h: BPF instructions."""

from __future__ import annotations

import ctypes

# Instruction classes, and the parts of an opcode that are wanted here.
BPF_LD, BPF_LDX, BPF_ST, BPF_STX, BPF_ALU, BPF_JMP, BPF_JMP32, BPF_ALU64 = range(8)
BPF_IMM = 0x00
BPF_DW = 0x18
BPF_CALL = 0x80

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
