# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets: which comparison with data_end is missing, or why the one there is does not count."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import CauseClass, Diagnosis

from .logs import START, check, explain_lines

END = "0: (61) r2 = *(u32 *)(r1 +80)          ; R1=ctx() R2=pkt_end()"


def packet(*lines: str) -> Diagnosis:
    return explain_lines(START, END, "1: (61) r3 = *(u32 *)(r1 +76)          ; R1=ctx() R3=pkt(r=0)", *lines)


def test_a_packet_that_is_not_compared_is_the_cause() -> None:
    diagnosis = packet(
        "2: (71) r0 = *(u8 *)(r3 +9)",
        "invalid access to packet, off=9 size=1, R3(id=0,off=0,r=0)",
        "R3 offset is outside of the packet",
    )
    check(diagnosis, CauseClass.SOURCE, "No comparison with data_end", "if (data + 10 > data_end)")


def test_a_comparison_that_is_one_byte_short_is_the_cause() -> None:
    diagnosis = packet(
        "2: (bf) r4 = r3                       ; R3=pkt(r=0) R4=pkt(r=0)",
        "3: (07) r4 += 14                      ; R4=pkt(off=14,r=0)",
        "4: (2d) if r4 > r2 goto pc+5          ; R2=pkt_end() R4=pkt(off=14,r=14)",
        "5: (71) r0 = *(u8 *)(r3 +14)",
        "invalid access to packet, off=14 size=1, R3(id=0,off=0,r=14)",
        "R3 offset is outside of the packet",
    )
    check(diagnosis, CauseClass.SOURCE, "1 byte is missing", "instruction 4", "if (data + 15 > data_end)")


def test_an_offset_that_may_be_too_large_is_the_cause() -> None:
    diagnosis = packet(
        "2: (69) r5 = *(u16 *)(r10 -8)         ; R5=scalar(umax=65535,var_off=(0x0; 0xffff))",
        "3: (0f) r3 += r5                      ; R3=pkt(id=1,r=0,umax=65535,var_off=(0x0; 0xffff))",
        "4: (bf) r4 = r3                       ; R4=pkt(id=1,r=0,umax=65535,var_off=(0x0; 0xffff))",
        "5: (07) r4 += 2                       ; R4=pkt(id=1,off=2,r=0,umax=65535,var_off=(0x0; 0xffff))",
        "6: (2d) if r4 > r2 goto pc+5          ; R2=pkt_end() R4=pkt(id=1,off=2,r=0,umax=65535)",
        "7: (69) r0 = *(u16 *)(r3 +0)",
        "invalid access to packet, off=0 size=2, R3(id=1,off=0,r=0)",
        "R3 offset is outside of the packet",
    )
    check(diagnosis, CauseClass.VERIFIER_LIMIT, "65535", "if (R3 + 2 > data_end)")


def test_a_sum_that_is_made_twice_is_the_compiler_s() -> None:
    diagnosis = packet(
        "2: (bf) r6 = r3                       ; R3=pkt(r=0) R6=pkt(r=0)",
        "3: (0f) r6 += r7                      ; R6=pkt(id=1,r=0,umax=60) R7=scalar(umax=60)",
        "4: (bf) r9 = r6                       ; R9=pkt(id=1,r=0,umax=60)",
        "5: (07) r9 += 4                       ; R9=pkt(id=1,off=4,r=0,umax=60)",
        "6: (2d) if r9 > r2 goto pc+5          ; R2=pkt_end() R9=pkt(id=1,off=4,r=4,umax=60)",
        "7: (bf) r0 = r3                       ; R0=pkt(r=0)",
        "8: (0f) r0 += r7                      ; R0=pkt(id=2,r=0,umax=60) R7=scalar(umax=60)",
        "9: (61) r0 = *(u32 *)(r0 +0)",
        "invalid access to packet, off=0 size=4, R0(id=2,off=0,r=0)",
        "R0 offset is outside of the packet",
    )
    check(diagnosis, CauseClass.COMPILER, "made it again", "barrier_var")


def test_old_kernels_count_two_bytes_short() -> None:
    """Up to v5.15 a comparison with >= is taken to prove two bytes less than it does."""
    diagnosis = packet(
        "2: (0f) r3 += r5                      ; R3=pkt(id=1,r=0,umax=60)",
        "3: (07) r3 += 14                      ; R3=pkt(id=1,off=14,r=0,umax=60)",
        "4: (3d) if r3 >= r2 goto pc+5         ; R2=pkt_end() R3=pkt(id=1,off=14,r=13,umax=60)",
        "5: (71) r0 = *(u8 *)(r3 +0)",
        "invalid access to packet, off=14 size=1, R3(id=1,off=14,r=13)",
        "R3 offset is outside of the packet",
    )
    check(diagnosis, CauseClass.VERIFIER_FALSE_POSITIVE, "2fa7d94afc1a")
