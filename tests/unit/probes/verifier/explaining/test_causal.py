# SPDX-License-Identifier: GPL-2.0-or-later
"""The way to a rejection, in logs small enough to be followed by eye."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.diagnosis import Diagnosis

from .logs import START, explain_lines


def path(diagnosis: Diagnosis) -> list[tuple[str, int | None]]:
    return [(step.kind, step.place.insn) for step in diagnosis.path]


def test_a_path_follows_copies_arithmetic_and_the_stack() -> None:
    diagnosis = explain_lines(
        START,
        "0: (61) r2 = *(u32 *)(r1 +0)          ; R1=ctx() R2=pkt(r=0)",
        "1: (bf) r6 = r2                       ; R2=pkt(r=0) R6=pkt(r=0)",
        "2: (7b) *(u64 *)(r10 -8) = r6         ; R6=pkt(r=0) R10=fp0 fp-8=pkt(r=0)",
        "3: (b7) r6 = 0                        ; R6=0",
        "4: (79) r7 = *(u64 *)(r10 -8)         ; R7=pkt(r=0) R10=fp0 fp-8=pkt(r=0)",
        "5: (07) r7 += 4                       ; R7=pkt(off=4,r=0)",
        "6: (71) r0 = *(u8 *)(r7 +0)",
        "invalid access to packet, off=4 size=1, R7(id=0,off=4,r=0)",
        "R7 offset is outside of the packet",
    )
    assert path(diagnosis) == [("update", 0), ("update", 1), ("spilled", 2), ("update", 4), ("update", 5)]
    assert diagnosis.details == ("invalid access to packet, off=4 size=1, R7(id=0,off=4,r=0)",)
    assert diagnosis.reason.startswith(
        "The access needs 5 bytes from the beginning of the packet on, and this path has proved 0 of them."
    )
    assert "if (data + 5 > data_end)" in str(diagnosis.suggestion)
    assert [line.number for line in diagnosis.place.instruction_context] == [4, 5, 6]


def test_branches_of_the_whole_walk_are_on_the_path() -> None:
    diagnosis = explain_lines(
        START,
        "0: (15) if r1 == 0x0 goto pc+9        ; R1=ctx()",
        "1: (85) call bpf_get_prandom_u32#7    ; R0=scalar()",
        "2: (15) if r0 == 0x7 goto pc+3 6: R0=7 R1=ctx()",
        "6: (55) if r0 != 0x9 goto pc+1        ; R0=7",
        "8: (79) r0 = *(u64 *)(r0 +0)",
        "R0 invalid mem access 'scalar'",
    )
    assert path(diagnosis) == [("update", 1), ("branch", 2), ("branch", 6)]
    assert "the jump to 6 is taken" in diagnosis.path[1].message
    assert "the jump to 8 is taken" in diagnosis.path[2].message


def test_other_branches_are_left_out_at_level_2() -> None:
    diagnosis = explain_lines(
        START,
        "0: (85) call bpf_get_prandom_u32#7    ; R0=scalar()",
        "1: (15) if r0 == 0x7 goto pc+3        ; R0=scalar()",
        "2: (b7) r6 = 1                        ; R6=1",
        "3: (b7) r0 = 0                        ; R0=0",
        "4: (95) exit",
        "",
        "from 1 to 5: R0=7 R1=ctx() R10=fp0",
        "5: R0=7 R1=ctx() R10=fp0",
        "5: (79) r0 = *(u64 *)(r6 +0)",
        "R6 !read_ok",
    )
    assert diagnosis.place.insn == 5
    assert ("update", 2) not in path(diagnosis)
    assert any("nothing on the path" in note for note in diagnosis.notes)


OLD = (
    "func#0 @0",
    "0: R1=ctx(id=0,off=0,imm=0) R10=fp0",
    "0: (bf) r6 = r1",
    "1: R1=ctx(id=0,off=0,imm=0) R6_w=ctx(id=0,off=0,imm=0) R10=fp0",
    "1: (85) call bpf_map_lookup_elem#1",
    "2: R0_w=map_value_or_null(id=1,off=0,ks=4,vs=8,imm=0) R6_w=ctx(id=0,off=0,imm=0) R10=fp0",
    "2: (15) if r0 == 0x0 goto pc+3",
    " R0_w=map_value(id=0,off=0,ks=4,vs=8,imm=0) R6_w=ctx(id=0,off=0,imm=0) R10=fp0",
    "3: R0_w=map_value(id=0,off=0,ks=4,vs=8,imm=0) R6_w=ctx(id=0,off=0,imm=0) R10=fp0",
    "3: (b7) r0 = 0",
    "4: R0_w=inv0 R6_w=ctx(id=0,off=0,imm=0) R10=fp0",
    "4: (95) exit",
    "",
    "from 2 to 6: R0_w=inv0 R6_w=ctx(id=0,off=0,imm=0) R10=fp0",
    "6: R0_w=inv0 R6_w=ctx(id=0,off=0,imm=0) R10=fp0",
    "6: (79) r1 = *(u64 *)(r0 +0)",
    "R0 invalid mem access 'inv'",
)


def test_the_format_of_old_kernels_is_followed() -> None:
    """Up to 5.17: all registers in a line of their own before each instruction, numbers are inv."""
    diagnosis = explain_lines(*OLD)
    assert (diagnosis.rule, diagnosis.place.insn) == ("scalar-dereference", 6)
    assert path(diagnosis) == [("update", 1), ("branch", 2)]
    assert diagnosis.path[0].message.endswith("a pointer to a map value, or NULL")
    assert "the jump to 6 is taken" in diagnosis.path[1].message


def test_calls_take_registers_away() -> None:
    diagnosis = explain_lines(
        START,
        "0: (b7) r1 = 7                        ; R1=7",
        "1: (85) call bpf_get_prandom_u32#7    ; R0=scalar()",
        "2: (bf) r0 = r1",
        "R1 !read_ok",
    )
    assert path(diagnosis) == [("invalidated", 1)]


def test_arguments_come_from_the_caller() -> None:
    diagnosis = explain_lines(
        START,
        "0: (b7) r1 = 7                        ; R1=7",
        "1: (85) call pc+1",
        "caller:",
        " R10=fp0",
        "callee:",
        " frame1: R1=7 R10=fp0",
        "3: frame1: R1=7 R10=fp0",
        "3: (79) r0 = *(u64 *)(r1 +0)",
        "R1 invalid mem access 'scalar'",
    )
    assert path(diagnosis) == [("update", 0), ("update", 1)]


def test_results_come_from_the_callee() -> None:
    diagnosis = explain_lines(
        START,
        "0: (b7) r6 = 3                        ; R6=3",
        "1: (85) call pc+2",
        "4: frame1: R1=ctx() R10=fp0",
        "4: (b7) r6 = 9                        ; frame1: R6=9",
        "5: (b7) r0 = 8                        ; frame1: R0=8",
        "6: (95) exit",
        "returning from callee:",
        " frame1: R0=8 R10=fp0",
        "to caller at 2:",
        " R0=8 R6=3 R10=fp0",
        "2: R0=8 R6=3 R10=fp0",
        "2: (79) r0 = *(u64 *)(r0 +0)",
        "R0 invalid mem access 'scalar'",
    )
    assert path(diagnosis) == [("update", 5)]
    assert "the number 8" in diagnosis.path[0].message


@pytest.mark.parametrize(
    ("call", "before", "told"),
    [
        ("bpf_xdp_adjust_head#44", "pkt(r=8)", "may move the packet"),
        ("bpf_skb_pull_data#39", "pkt(r=8)", "may move the packet"),
        ("bpf_ringbuf_submit#132", "ringbuf_mem(ref_obj_id=2,sz=8)", "gives reference 2 back"),
    ],
)
def test_a_call_may_make_a_number_of_a_pointer(call: str, before: str, told: str) -> None:
    diagnosis = explain_lines(
        START,
        f"0: (bf) r6 = r2                       ; R2={before} R6={before}",
        "1: (85) call bpf_get_prandom_u32#7    ; R0=scalar()",
        f"2: (85) call {call}    ; R0=scalar()",
        "3: (71) r0 = *(u8 *)(r6 +0)",
        "R6 invalid mem access 'scalar'",
    )
    assert path(diagnosis)[-1] == ("invalidated", 2)
    assert told in diagnosis.path[-1].message


def test_a_reference_that_is_given_back_is_followed_to_its_end() -> None:
    """As Linux v7.3 writes it: a pointer has an id, and the references are in a list."""
    diagnosis = explain_lines(
        START,
        "1: (85) call bpf_task_from_pid#71279  ; R0=trusted_ptr_task_struct(id=2) refs=2",
        "2: (bf) r6 = r0                       ; R6=trusted_ptr_task_struct(id=2) refs=2",
        "4: (bf) r1 = r6                       ; R1=trusted_ptr_task_struct(id=2) refs=2",
        "5: (85) call bpf_task_release#71280   ;",
        "6: (bf) r1 = r6                       ; R1=scalar(id=3) R6=scalar(id=3)",
        "7: (85) call bpf_task_release#71280",
        "release kfunc bpf_task_release expects referenced PTR_TO_BTF_ID passed to R1",
    )
    assert path(diagnosis) == [("update", 1), ("update", 2), ("invalidated", 5), ("update", 6)]
    assert diagnosis.path[2].message == "bpf_task_release() gives reference 2 back, so R6 is no pointer any more"


def test_a_borrowed_pointer_ends_with_the_unlock() -> None:
    diagnosis = explain_lines(
        START,
        "17: (85) call bpf_rbtree_add_impl#70924 ; R6=ptr_node(non_own_ref) R10=fp0",
        "18: (18) r1 = 0xff5db78f01673000      ; R1=map_value(map=.data.A,ks=4,vs=24)",
        "20: (85) call bpf_spin_unlock#94      ;",
        "21: (61) r0 = *(u32 *)(r6 +32)",
        "R6 invalid mem access 'scalar'",
    )
    assert path(diagnosis) == []
    diagnosis = explain_lines(
        START,
        "16: (bf) r6 = r0                      ; R6=ptr_node(non_own_ref) R10=fp0",
        "20: (85) call bpf_spin_unlock#94      ;",
        "21: (61) r0 = *(u32 *)(r6 +32)",
        "R6 invalid mem access 'scalar'",
    )
    assert path(diagnosis) == [("update", 16), ("invalidated", 20)]


@pytest.mark.parametrize(
    ("message", "insn"),
    [
        ("Possibly NULL pointer passed to trusted arg0", 0),
        ("Possibly NULL pointer passed to helper arg2", 1),
        ("arg#1 expected pointer to allocated object", 1),
        ("R3 must be referenced or trusted", 2),
    ],
)
def test_an_argument_names_its_register(message: str, insn: int) -> None:
    diagnosis = explain_lines(
        START,
        "0: (b7) r1 = 7                        ; R1=7",
        "1: (b7) r2 = 8                        ; R2=8",
        "2: (b7) r3 = 9                        ; R3=9",
        "3: (85) call bpf_task_release#1000",
        message,
    )
    assert path(diagnosis) == [("update", insn)]


def test_a_region_begins_with_its_last_lock() -> None:
    diagnosis = explain_lines(
        START,
        "0: (85) call bpf_rcu_read_lock#100    ;",
        "1: (85) call bpf_rcu_read_unlock#101  ;",
        "2: (85) call bpf_rcu_read_lock#100    ;",
        "3: (15) if r6 == 0x0 goto pc+2        ; R6=1",
        "4: (85) call bpf_copy_from_user#148",
        "sleepable helper bpf_copy_from_user#148 in rcu_read_lock region",
    )
    assert path(diagnosis) == [("context", 2), ("branch", 3)]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("7: (bf) r6 = r0   ; R6=1", "8: (79) r0 = *(u64 *)(r9 +0)", "R9 !read_ok"), "begins at instruction 7"),
        (("9: (95) exit", "Unreleased reference id=2 alloc_insn=4"), "does not show instruction 4"),
        (("0: (bf) r6 = r2", "1: (79) r0 = *(u64 *)(r6 +0)", "R6 invalid mem access 'scalar'"), "no register states"),
        (("R6 !read_ok",), "no instructions"),
        (
            ("from 3 to 8: R0=0", "8: (79) r0 = *(u64 *)(r9 +0)", "R9 !read_ok"),
            "does not show how instruction 3 was reached",
        ),
    ],
)
def test_what_the_log_does_not_tell_is_said(lines: tuple[str, ...], told: str) -> None:
    assert any(told in note for note in explain_lines(*lines).notes)


def test_a_loop_has_no_end_of_steps() -> None:
    rounds = [
        line
        for number in range(200)
        for line in ("1: (07) r6 += 1   ; R6=scalar()", f"2: (a5) if r6 < 0x{number + 9:x} goto pc-2   ; R6=scalar()")
    ]
    diagnosis = explain_lines(
        START, "0: (b7) r6 = 0   ; R6=0", *rounds, "3: (79) r0 = *(u64 *)(r6 +0)", "R6 !read_ok"
    )
    assert len(diagnosis.path) == 65
    assert "left out" in diagnosis.path[32].message


def test_the_source_of_another_branch_is_not_taken() -> None:
    diagnosis = explain_lines(
        START,
        "; if (x) @ prog.c:3",
        "0: (15) if r1 == 0x0 goto pc+3 4: R1=0 R10=fp0",
        "4: (79) r0 = *(u64 *)(r1 +0)",
        "R1 invalid mem access 'scalar'",
    )
    assert diagnosis.place.source is None
    assert diagnosis.path == () or diagnosis.path[0].place.line == 3
