# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments that lie where a function may not take them from, and dynptrs that nothing has made."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
from tests.unit.corpus.test_corpus import log

from .logs import START, check, explain_lines


@pytest.mark.parametrize(
    ("release", "name", "words"),
    [
        (
            "6.18.44",
            "packet-to-helper",
            ("R1 is an address in the packet", "bpf_trace_printk()", "to the stack first"),
        ),
        ("6.18.44", "work-on-stack", ("R1 is an address on the program's stack", "map's value type")),
        (
            "6.12.43",
            "dynptr-uninitialized",
            ("offset -16", "nothing on this path has made one", "bpf_dynptr_from_skb()"),
        ),
        ("7.2.12", "dynptr-uninitialized", ("offset -16", "nothing on this path has made one")),
        ("6.12.43", "dynptr-submitted-twice", ("bpf_ringbuf_submit_dynptr() (instruction 10) has given it back",)),
        ("7.2.12", "dynptr-submitted-twice", ("bpf_ringbuf_submit_dynptr() (instruction 10) has given it back",)),
    ],
)
def test_place_of_the_argument_is_named(release: str, name: str, words: tuple[str, ...]) -> None:
    check(explain_bytes(log(release, name)), CauseClass.SOURCE, *words)


def test_output_helpers_append_the_packet_themselves() -> None:
    diagnosis = explain_lines(
        START,
        "0: (61) r4 = *(u32 *)(r1 +0)          ; R1=ctx() R4_w=pkt(r=0)",
        "1: (b7) r5 = 16                       ; R5_w=16",
        "2: (85) call bpf_perf_event_output#25",
        "helper access to the packet is not allowed",
    )
    check(diagnosis, CauseClass.SOURCE, "R4 is an address in the packet", "upper 32 bits of the flags")


def test_dynptr_made_somewhere_is_not_called_unmade() -> None:
    """Which of them is passed is not looked into: a path that makes one says nothing against the program's author."""
    diagnosis = explain_lines(
        START,
        "0: (bf) r3 = r10                      ; R3_w=fp0 R10=fp0",
        "1: (07) r3 += -16                     ; R3_w=fp-16",
        "2: (85) call bpf_dynptr_from_skb#70000        ; R0_w=scalar() fp-16_w=dynptr_skb()",
        "3: (bf) r1 = r10                      ; R1_w=fp0 R10=fp0",
        "4: (07) r1 += -32                     ; R1_w=fp-32",
        "5: (85) call bpf_dynptr_slice#70001",
        "Expected an initialized dynptr as arg #0",
    )
    assert diagnosis.cause_class is CauseClass.UNKNOWN
    assert "was made before" in diagnosis.reason


def test_place_is_not_made_up_where_the_log_is_cut() -> None:
    """What made the dynptr may stand in the part that is missing."""
    diagnosis = explain_lines(
        "40: (bf) r1 = r10                      ; R1_w=fp0 R10=fp0",
        "41: (07) r1 += -16                     ; R1_w=fp-16",
        "42: (85) call bpf_ringbuf_submit_dynptr#199",
        "Expected an initialized dynptr as R1",
    )
    assert diagnosis.cause_class is CauseClass.UNKNOWN
    assert "nothing on this path" not in diagnosis.reason
