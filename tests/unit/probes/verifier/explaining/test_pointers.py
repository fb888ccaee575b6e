# SPDX-License-Identifier: GPL-2.0-or-later
"""What made a number of a pointer, or left a register without a value."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.diagnosis import CauseClass

from .logs import START, check, explain_lines


@pytest.mark.parametrize("word", ["inv", "scalar"])
def test_a_number_from_the_context_is_no_pointer(word: str) -> None:
    diagnosis = explain_lines(
        START,
        "0: (79) r6 = *(u64 *)(r1 +112)        ; R1=ctx() R6=scalar()",
        "1: (69) r2 = *(u16 *)(r6 +20)",
        f"R6 invalid mem access '{word}'",
    )
    check(diagnosis, CauseClass.SOURCE, "read out of the context", "BPF_CORE_READ()", "instruction 0")


@pytest.mark.parametrize(("value", "words"), [(0, "that is NULL"), (16, "NULL and the offset of a field")])
def test_a_constant_is_no_pointer(value: int, words: str) -> None:
    diagnosis = explain_lines(
        START,
        f"0: (b7) r3 = {value}                    ; R3={value}",
        "1: (63) *(u32 *)(r3 +0) = r1",
        "R3 invalid mem access 'scalar'",
    )
    check(diagnosis, CauseClass.SOURCE, words)


def test_a_number_of_a_helper_is_no_pointer() -> None:
    diagnosis = explain_lines(
        START,
        "0: (85) call bpf_get_current_task#35   ; R0=scalar()",
        "1: (79) r1 = *(u64 *)(r0 +8)",
        "R0 invalid mem access 'scalar'",
    )
    check(diagnosis, CauseClass.SOURCE, "bpf_get_current_task() returned a number", "bpf_get_current_task_btf()")


def test_a_slot_that_a_helper_has_written_is_no_pointer() -> None:
    diagnosis = explain_lines(
        START,
        "0: (b7) r6 = 0                        ; R6=0",
        "1: (7b) *(u64 *)(r10 -8) = r6         ; R6=0 R10=fp0 fp-8=0",
        "2: (bf) r1 = r10                      ; R1=fp0 R10=fp0",
        "3: (07) r1 += -8                      ; R1=fp-8",
        "4: (85) call bpf_probe_read_kernel#113 ; R0=scalar() fp-8=mmmmmmmm",
        "5: (79) r7 = *(u64 *)(r10 -8)         ; R7=scalar() R10=fp0 fp-8=mmmmmmmm",
        "6: (79) r1 = *(u64 *)(r7 +0)",
        "R7 invalid mem access 'scalar'",
    )
    check(diagnosis, CauseClass.SOURCE, "bpf_probe_read_kernel() has written it (instruction 4)")
    assert [event.place.insn for event in diagnosis.path] == [4, 5]


def test_programs_have_one_argument() -> None:
    diagnosis = explain_lines(START, "0: (bf) r6 = r3", "R3 !read_ok")
    check(diagnosis, CauseClass.SOURCE, "Programs are called with one argument", "BPF_KPROBE()")


def test_a_call_takes_the_register() -> None:
    diagnosis = explain_lines(
        START, "0: (85) call bpf_ktime_get_ns#5        ; R0=scalar()", "1: (bf) r6 = r2", "R2 !read_ok"
    )
    check(diagnosis, CauseClass.SOURCE, "lost in the call of bpf_ktime_get_ns() (instruction 0)")


def test_a_legacy_load_needs_r6() -> None:
    diagnosis = explain_lines(START, "0: (30) r0 = *(u8 *)skb[12]", "R6 !read_ok")
    check(diagnosis, CauseClass.SOURCE, "through R6")


def test_a_pointer_that_is_read_again_is_not_checked() -> None:
    diagnosis = explain_lines(
        START,
        "0: (bf) r6 = r1                       ; R1=ctx() R6=ctx()",
        "1: (79) r1 = *(u64 *)(r6 +184)        ; R1=sock_or_null(id=1) R6=ctx()",
        "2: (15) if r1 == 0x0 goto pc+5        ; R1=sock()",
        "3: (79) r2 = *(u64 *)(r6 +184)        ; R2=sock_or_null(id=2) R6=ctx()",
        "4: (85) call bpf_sk_storage_get#107",
        "R2 type=sock_or_null expected=sock_common, sock, tcp_sock",
    )
    check(diagnosis, CauseClass.SOURCE, "instruction 3 reads the same place again", "local variable")


def test_a_pointer_that_may_be_null_must_be_compared() -> None:
    diagnosis = explain_lines(
        START,
        "0: (85) call bpf_map_lookup_elem#1    ; R0=map_value_or_null(id=1,ks=4,vs=8)",
        "1: (79) r1 = *(u64 *)(r0 +0)",
        "R0 invalid mem access 'map_value_or_null'",
    )
    check(diagnosis, CauseClass.SOURCE)


def test_old_kernels_do_not_follow_copies() -> None:
    diagnosis = explain_lines(
        "0: (85) call 1",
        "1: (bf) r7 = r0",
        "2: (15) if r0 == 0x0 goto pc+3",
        " R0=map_value R7=map_value_or_null R10=fp",
        "3: (79) r1 = *(u64 *)(r7 +0)",
        "R7 invalid mem access 'map_value_or_null'",
    )
    check(diagnosis, CauseClass.ENVIRONMENT, "does not carry the result over to copies")


def test_nothing_is_made_up() -> None:
    """An excerpt without what made the value says so, and blames nobody."""
    diagnosis = explain_lines("7: (79) r1 = *(u64 *)(r6 +8)", "R6 invalid mem access 'scalar'")
    assert diagnosis.cause_class is CauseClass.UNKNOWN
    assert diagnosis.evidence is None
    assert "does not show what made it" in diagnosis.reason


@pytest.mark.parametrize("zero", ["00000000", "0", "inv0"])
def test_a_slot_of_zeros_is_null(zero: str) -> None:
    diagnosis = explain_lines(
        f" R1=ctx(id=0,off=0,imm=0) R10=fp0 fp-256={zero}",
        "1029: (79) r9 = *(u64 *)(r10 -256)",
        "1030: (71) r1 = *(u8 *)(r9 +23)",
        "R9 invalid mem access 'inv'",
    )
    check(diagnosis, CauseClass.SOURCE, "R9 is the constant 0, that is NULL")


def test_a_slot_of_anything_else_is_not_null() -> None:
    diagnosis = explain_lines(
        " R1=ctx(id=0,off=0,imm=0) R10=fp0 fp-256=mmmm0000",
        "1029: (79) r9 = *(u64 *)(r10 -256)",
        "1030: (71) r1 = *(u8 *)(r9 +23)",
        "R9 invalid mem access 'inv'",
    )
    assert "NULL" not in diagnosis.reason


def test_arithmetic_with_the_context_is_the_compiler_s() -> None:
    diagnosis = explain_lines(
        "0: (bf) r6 = r1",
        "1: (bf) r1 = r6",
        "2: (07) r1 += 96",
        "3: (79) r3 = *(u64 *)(r1 +0)",
        "R1 invalid mem access 'inv'",
    )
    check(diagnosis, CauseClass.COMPILER, "R1 is the context, and instruction 2 has added something")


def test_the_first_instruction_uses_an_argument() -> None:
    diagnosis = explain_lines(START, "0: (bf) r6 = r2", "R2 !read_ok")
    check(diagnosis, CauseClass.SOURCE, "as if it had more arguments", "BPF_PROG()")
    assert "variable" not in diagnosis.reason


def test_memory_of_a_dynptr_ends_when_it_is_written_to() -> None:
    diagnosis = explain_lines(
        START,
        "0: (85) call bpf_dynptr_slice#71234    ; R0=rdonly_mem(sz=14)",
        "1: (bf) r7 = r0                       ; R0=rdonly_mem(sz=14) R7=rdonly_mem(sz=14)",
        "2: (85) call bpf_dynptr_write#202      ; R0=scalar()",
        "3: (71) r1 = *(u8 *)(r7 +12)",
        "R7 invalid mem access 'scalar'",
    )
    check(
        diagnosis, CauseClass.SOURCE, "R7 was a pointer to memory that bpf_dynptr_slice() returned", "instruction 2"
    )
