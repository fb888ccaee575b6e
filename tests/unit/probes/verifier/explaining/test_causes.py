# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands behind a message, and whose fault it is, in logs small enough to be followed by eye."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.diagnosis import CauseClass

from .logs import explain_lines


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        ("libbpf: prog 'p': failed to find kernel BTF type ID of 'execve': -3", "attach-target-not-found"),
        ("kfunc 'bpf_x' is referenced but wasn't resolved", "kfunc-not-resolved"),
        ("BPF map 'm' is referenced but wasn't created", "map-not-created"),
        ("<invalid CO-RE relocation>", "core-not-resolved"),
    ],
)
def test_words_of_libbpf_tell_the_cause(message: str, rule: str) -> None:
    diagnosis = explain_lines(message)
    assert diagnosis.rule == rule
    assert diagnosis.cause_class is CauseClass.ENVIRONMENT
