# SPDX-License-Identifier: GPL-2.0-or-later
"""Accesses to the context: which field it is, whether it is written, and two fields taken for one."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.explaining.contexts import FIELDS, WORD
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
from tests.unit.corpus.test_corpus import log

from .logs import START, check, explain_lines


@pytest.mark.parametrize(
    ("structure", "field", "off"),
    [
        # Offsets of include/uapi/linux/bpf.h, counted by hand.
        ("__sk_buff", "data", 76),
        ("__sk_buff", "data_meta", 140),
        ("xdp_md", "egress_ifindex", 20),
        ("bpf_sock_ops", "remote_ip4", 24),
        ("bpf_sock_ops", "is_fullsock", 72),
        ("bpf_sock_ops", "mss_cache", 112),
        ("bpf_sock_addr", "user_port", 24),
        ("bpf_sock_addr", "msg_src_ip4", 40),
    ],
)
def test_fields_lie_where_the_kernel_has_them(structure: str, field: str, off: int) -> None:
    assert FIELDS[structure][off // WORD] == field


def test_a_field_that_the_line_of_source_names_is_written() -> None:
    diagnosis = explain_lines(
        "262: (b7) r1 = 0",
        "; ctx->remote_ip4 = 0;",
        "263: (63) *(u32 *)(r6 +24) = r1",
        "invalid bpf_context access off=24 size=4",
    )
    check(diagnosis, CauseClass.ENVIRONMENT, "Offset 24 of struct bpf_sock_ops is remote_ip4", "may not write it")


def test_two_fields_at_once_are_the_compiler_s() -> None:
    diagnosis = explain_lines(
        START,
        "; .remote_ip4 = skops->remote_ip4, @ main.c:29",
        "0: (79) r2 = *(u64 *)(r1 +24)",
        "invalid bpf_context access off=24 size=8",
    )
    check(diagnosis, CauseClass.COMPILER, "8 bytes at offset 24", "volatile")


def test_a_field_of_a_structure_that_nothing_names_is_guessed() -> None:
    diagnosis = explain_bytes(log("6.18.44", "context-of-xdp-written"))
    assert "writes 4 bytes at offset 8" in diagnosis.reason
    assert "data_meta of struct xdp_md" in diagnosis.reason
    assert diagnosis.cause_class is CauseClass.UNKNOWN


def test_an_offset_that_no_structure_has_is_told() -> None:
    diagnosis = explain_lines(START, "0: (61) r0 = *(u32 *)(r1 +4096)", "invalid bpf_context access off=4096 size=4")
    assert "has no field of 4 bytes at offset 4096" in diagnosis.reason


def test_a_register_added_to_the_context_is_the_compiler_s() -> None:
    diagnosis = explain_lines(
        START,
        "0: (b7) r2 = 112                      ; R2_w=112",
        "1: (0f) r1 += r2                      ; R1_w=ctx(off=112,imm=0) R2_w=112",
        "2: (79) r3 = *(u64 *)(r1 +0)",
        "dereference of modified ctx ptr R1 off=112 disallowed",
    )
    check(diagnosis, CauseClass.COMPILER, "Instruction 1 (r1 += r2) has added a register", "volatile")


def test_a_moved_context_keeps_the_table_s_advice() -> None:
    diagnosis = explain_bytes(log("6.18.44", "modified-context"))
    assert diagnosis.suggestion == "Keep the original pointer, and put constant offsets into the access itself."
