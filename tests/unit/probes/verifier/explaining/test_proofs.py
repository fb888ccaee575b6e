# SPDX-License-Identifier: GPL-2.0-or-later
"""What real kernels say of programs whose proof does not count, and that the reason for it is told."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.diagnosis import CauseClass, Diagnosis
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
from tests.unit.corpus.test_corpus import RELEASES, index, log

SOURCE, COMPILER, LIMIT, UNKNOWN = (
    CauseClass.SOURCE,
    CauseClass.COMPILER,
    CauseClass.VERIFIER_LIMIT,
    CauseClass.UNKNOWN,
)

TOLD = {
    "size-bounded-from-above": (SOURCE, "it has an upper bound, and the lower one is missing"),
    "size-written-after-check": (SOURCE, "bpf_skb_load_bytes(), is given its address and may write to it"),
    "packet-offset-too-large": (LIMIT, "above 65535 in all"),
    "packet-other-pointer-checked": (SOURCE, "another pointer than the one in R2: instruction 7 has added R5"),
    "lock-on-stack": (SOURCE, "A lock must lie in the value of a map"),
    "key-is-context": (SOURCE, "R2 is the program's context"),
    "tail-call-of-hash": (SOURCE, "BPF_MAP_TYPE_PROG_ARRAY"),
    "tail-call-of-array": (SOURCE, "BPF_MAP_TYPE_PROG_ARRAY"),
    "recursion-through-another": (SOURCE, "This is recursion"),
    "dynptr-copied": (SOURCE, "holds a dynptr (dynptr_ringbuf)"),
    "value-index-one-too-far": (SOURCE, "is 16 on this path; up to 12 the access would lie within"),
    "size-larger-than-value": (SOURCE, "The size that is passed is the constant 24"),
    "pointer-through-32-bits": (UNKNOWN, "goes through a number of 32 bits"),
    "other-lookup-not-checked": (SOURCE, "It is what bpf_map_lookup_elem() returned (instruction 11)"),
    "pointer-set-on-one-branch": (SOURCE, "Each path is checked for itself"),
    "counted-in-loop": (SOURCE, "It grew step by step (instruction 11"),
    "global-argument-unbounded": (SOURCE, "argument 1 of table_at(), a global function"),
    "global-argument-may-be-null": (SOURCE, "argument 1 of global_reads(), a global function"),
    "percpu-object-dropped-as-one": (UNKNOWN, "per-CPU ones of bpf_percpu_obj_new() with bpf_percpu_obj_drop()"),
    "percpu-pointer-wanted": (SOURCE, "The function wants a per-CPU object"),
    "thrown-in-callback": (UNKNOWN, "calls bpf_throw() in a callback"),
    "thrown-with-reference": (SOURCE, "bpf_throw() ends the program and gives back nothing"),
    "pointer-cut-by-copy": (COMPILER, "copies only the lower 32 bits of it"),
    "stack-variable-never-set": (SOURCE, "nothing on this path has written anything there"),
    "null-from-stack": (SOURCE, "that is NULL"),
    "register-set-on-one-branch": (SOURCE, "a variable is used that was not set on this path"),
    "call-argument-not-set": (SOURCE, "which is argument 2 of bpf_map_lookup_elem() here"),
    "packet-compared-without-length": (SOURCE, "before anything is added to it: that proves no byte"),
    "stack-index-used-after-change": (SOURCE, "R6 is not negative but may be as large as 4294967295"),
    "context-of-xdp-written": (UNKNOWN, "data_meta of struct xdp_md"),
    "misaligned-stack": (SOURCE, "8 bytes are accessed at offset -7 of the stack"),
    "exception-callback-called": (UNKNOWN, "only the kernel calls, after bpf_throw()"),
}


def explain_recorded(release: str, name: str) -> Diagnosis:
    return explain_bytes(log(release, name), index(release)[name]["errno"])


@pytest.mark.parametrize("name", TOLD)
def test_the_reason_is_told(name: str) -> None:
    cause_class, words = TOLD[name]
    diagnosis = explain_recorded("6.18.44", name)
    assert words in f"{diagnosis.reason} {diagnosis.suggestion}"
    assert diagnosis.cause_class is cause_class
    assert (diagnosis.evidence is None) == (cause_class is UNKNOWN)


@pytest.mark.parametrize(
    "release", [release for release in RELEASES if not release.startswith(("5.", "6.18.", "7.3"))]
)
@pytest.mark.parametrize("name", TOLD)
def test_other_kernels_get_a_reason_too(name: str, release: str) -> None:
    """The same is told, where these kernels have the program and say it in another way."""
    record = index(release)[name]
    if "absent" in record or record["errno"] is None:
        return
    diagnosis = explain_recorded(release, name)
    assert diagnosis.recognised
    assert diagnosis.suggestion


def test_a_message_without_a_newline_is_told_from_what_follows() -> None:
    """Some messages have no newline: the verifier's last line goes on behind them."""
    assert b"directlyprocessed 10 insns" in log("6.18.44", "exception-callback-called")
    assert (
        explain_recorded("6.18.44", "exception-callback-called").message == "insn 4 cannot call exception cb directly"
    )


def test_the_cause_does_not_depend_on_the_kernel_s_own_diagnostics() -> None:
    """Whose fault it is does not depend on whether the kernel explains itself: the log is the same."""
    compared = 0
    for name, record in index("7.3-rc7").items():
        older = index("7.2.12")[name]
        if "errno" not in record or None in (record["errno"], older.get("errno")):
            continue
        new, old = explain_recorded("7.3-rc7", name), explain_recorded("7.2.12", name)
        if new.native and new.message == old.message:
            assert (new.cause_class, new.evidence) == (old.cause_class, old.evidence), name
            compared += 1
    assert compared > 50
