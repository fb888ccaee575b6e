# SPDX-License-Identifier: GPL-2.0-or-later
"""Logs that say nothing, so that only the errno of the load does."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.diagnosis import LogOutcome
from kprobe_tool.probes.verifier.explaining.errnos import EMPTY_LOG
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes

from .logs import TRAILER


@pytest.mark.parametrize("errno", sorted(EMPTY_LOG))
def test_an_empty_log_is_explained_by_its_errno(errno: str) -> None:
    for text in (b"", b"\n \0\n"):
        diagnosis = explain_bytes(text, errno)
        assert (diagnosis.outcome, diagnosis.recognised, diagnosis.errno) == (LogOutcome.REJECTED, True, errno)
        assert diagnosis.reason.endswith(".")


def test_an_unusual_errno_of_an_empty_log_is_unrecognised() -> None:
    diagnosis = explain_bytes(b"", "EXDEV")
    assert not diagnosis.recognised
    assert "EXDEV" in diagnosis.reason


def test_a_program_may_be_refused_after_the_verifier() -> None:
    text = f"libbpf: prog 'p': BPF program load failed: -524\n0: (95) exit\n{TRAILER}\n"
    diagnosis = explain_bytes(text.encode())
    assert diagnosis.problem == "Refused after verification"
    assert "JIT" in diagnosis.reason


@pytest.mark.parametrize(("count", "known"), [(1155, True), (4096, True), (5000, False)])
def test_instructions_that_the_loader_has_counted_are_told(count: int, known: bool) -> None:
    text = f"bpf: Argument list too long. Program  too large ({count} insns), at most 4096 insns\n"
    diagnosis = explain_bytes(text.encode())
    assert diagnosis.errno == "E2BIG"
    assert (f"has {count} instructions" in diagnosis.reason) is known


def test_an_errno_is_read_by_its_name() -> None:
    """So libbpf writes it from v1.6 on."""
    diagnosis = explain_bytes(
        b"libbpf: prog 'p': BPF program load failed: -E2BIG\nlibbpf: prog 'p': failed to load: -E2BIG\n"
    )
    assert (diagnosis.errno, diagnosis.program) == ("E2BIG", "p")


def test_bcc_says_why_behind_its_own_words() -> None:
    assert (
        explain_bytes(b"bpf: Failed to load program: Invalid argument\n\nTraceback (most recent call last):\n").errno
        == "EINVAL"
    )
