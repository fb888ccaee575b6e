# SPDX-License-Identifier: GPL-2.0-or-later
"""Logs that say nothing, so that only the errno of the load does."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.diagnosis import LogOutcome
from kprobe_tool.probes.verifier.explaining.errnos import UNSAID
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes

from .logs import TRAILER


@pytest.mark.parametrize("errno", sorted(UNSAID))
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
