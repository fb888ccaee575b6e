# SPDX-License-Identifier: GPL-2.0-or-later
"""Causes that the message and its instruction tell alone."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.diagnosis import CauseClass

from .logs import START, check, explain_lines


@pytest.mark.parametrize(
    ("line", "message", "cause_class", "word"),
    [
        ("0: (85) call bpf_get_stack#67", "unknown opcode 8d", CauseClass.COMPILER, "-O2"),
        ("0: (b7) r0 = 0", "unknown opcode 00", CauseClass.COMPILER, "C library"),
        (
            "0: (7b) *(u64 *)(r1 +0) = r2",
            "only read from bpf_array is supported",
            CauseClass.SOURCE,
            "map_lookup_elem",
        ),
        (
            "0: (85) call bpf_map_update_elem#2",
            "invalid indirect access to stack R3 off=-4 size=8",
            CauseClass.SOURCE,
            "a variable of 8 bytes",
        ),
        (
            "0: (4f) r2 |= r1",
            "R2 pointer arithmetic on pkt_end prohibited",
            CauseClass.COMPILER,
            "keeps them apart",
        ),
        ("0: (85) call bpf_redirect#23", "unknown func bpf_redirect#23", CauseClass.ENVIRONMENT, "program type"),
        ("0: (95) exit", "Unreleased reference id=2 alloc_insn=0", CauseClass.SOURCE, "Release it"),
        ("0: (05) goto pc-1", "infinite loop detected at insn 0", CauseClass.SOURCE, "counter"),
    ],
)
def test_one_instruction_is_enough_for_a_cause(line: str, message: str, cause_class: CauseClass, word: str) -> None:
    check(explain_lines(START, line, message), cause_class, word)


def test_a_size_beyond_a_map_value_says_what_to_compare() -> None:
    diagnosis = explain_lines(
        START,
        "0: (85) call bpf_probe_read_user#112",
        "invalid access to map value, value_size=70 off=0 size=16383",
        "R1 min value is outside of the allowed memory range",
    )
    check(diagnosis, CauseClass.SOURCE, "if (size > 70)")


def test_an_iterator_larger_than_in_the_headers_is_the_environment_s() -> None:
    diagnosis = explain_lines(
        START,
        "0: (85) call bpf_iter_scx_dsq_new#69211",
        "cannot pass in iter at an offset=-64",
        "expected uninitialized iter_scx_dsq as arg #1",
    )
    check(diagnosis, CauseClass.ENVIRONMENT, "it has 64 bytes at the most", "vmlinux.h")


def test_an_iterator_begins_where_its_object_begins() -> None:
    diagnosis = explain_lines(START, "0: (85) call bpf_iter_num_new#69211", "cannot pass in iter at an offset=-63")
    assert "where the object begins" in diagnosis.reason


def test_a_map_is_no_variable() -> None:
    diagnosis = explain_lines(
        START,
        "0: (18) r1 = 0x9000000135452e00       ; R1_w=map_ptr(ks=4,vs=4)",
        "2: (61) r2 = *(u32 *)(r1 +0)",
        "cannot access ptr member ops with moff 0 in struct bpf_map with off 0 size 4",
    )
    check(diagnosis, CauseClass.SOURCE, "the map itself", "bpf_map_lookup_elem(&map")


def test_a_kernel_function_may_take_a_whole_object() -> None:
    diagnosis = explain_lines(
        START,
        "0: (79) r3 = *(u64 *)(r10 -88)        ; R3_w=map_value(ks=4,vs=1320,off=40,smin=0,smax=umax=1240)",
        "1: (85) call bpf_cpumask_and#65708",
        "invalid access to map value, value_size=1320 off=1280 size=1024",
        "R3 max value is outside of the allowed memory range",
    )
    check(diagnosis, CauseClass.SOURCE, "bpf_cpumask_and() takes a whole object there, which has 1024 bytes")


def test_a_global_function_takes_no_void_pointer() -> None:
    diagnosis = explain_lines(
        START,
        "0: (85) call pc+1",
        "arg#0 reference type('UNKNOWN ') size cannot be determined: -22",
        "Caller passes invalid args into func#1 ('f')",
    )
    check(diagnosis, CauseClass.SOURCE, "void *", "struct __sk_buff *")


def test_another_value_is_not_the_context() -> None:
    diagnosis = explain_lines(
        START,
        "0: (bf) r1 = r10                      ; R1_w=fp0 R10=fp0",
        "1: (07) r1 += -64                     ; R1_w=fp-64",
        "2: (85) call pc+7",
        "arg#0 expects pointer to ctx",
        "Caller passes invalid args into func#1 ('f')",
    )
    assert "R1 is a stack pointer (fp-64)" in diagnosis.reason
    assert "left the argument out" in (diagnosis.suggestion or "")


def test_variables_must_fit_on_the_stack() -> None:
    diagnosis = explain_lines(START, "0: (7b) *(u64 *)(r10 -520) = r1", "invalid stack off=-520 size=8")
    check(diagnosis, CauseClass.SOURCE, "its variables need 520", "per-CPU array")


def test_a_dynptr_needs_16_bytes() -> None:
    diagnosis = explain_lines(
        START,
        "0: (85) call bpf_dynptr_from_mem#197",
        "cannot pass in dynptr at an offset=-8",
        "Dynptr has to be an uninitialized dynptr",
    )
    check(diagnosis, CauseClass.SOURCE, "a dynptr has 16")


def test_an_index_ends_with_the_stack() -> None:
    diagnosis = explain_lines(START, "0: (71) r2 = *(u8 *)(r1 +0)", "invalid stack off=0 size=1")
    check(diagnosis, CauseClass.SOURCE, "1 byte is accessed at offset 0, which is behind the end", "if (i >= N)")
