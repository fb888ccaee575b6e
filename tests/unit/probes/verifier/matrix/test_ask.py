# SPDX-License-Identifier: GPL-2.0-or-later
"""What guests write of their programs."""

from __future__ import annotations

from kprobe_tool.probes.verifier.matrix import judge
from kprobe_tool.probes.verifier.matrix.ask import KernelAnswers


def test_answers_that_are_not_whole_are_a_failure() -> None:
    """What else a guest writes is passed over; one that dies is told with where it got to."""
    found = KernelAnswers("newest")
    for line in ("not JSON", "[1]", '{"other": 1}', '{"host": {"release": "7.3"}}'):
        found.take(line)
    found.take('{"program": {"program": "first"}}')
    found.finish()
    assert found.failure == "it ended after program 'first' before all programs were answered"
    (error,) = judge.failures([found])
    assert str(error) == "kernel newest: it ended after program 'first' before all programs were answered"
    silent = KernelAnswers("stable")
    silent.finish()
    assert silent.failure == "it ended before all programs were answered"
    assert judge.cells([silent], {}) == []


def test_what_is_wrong_with_the_file_is_a_failure() -> None:
    found = KernelAnswers("newest", release="7.3", done=True)
    found.errors.append({"program": None, "subject": "x.c", "reason": "line 3: no", "errno": "EINVAL", "hint": None})
    found.finish()
    (error,) = judge.failures([found])
    assert str(error) == "kernel newest: x.c: line 3: no (EINVAL)"
    assert judge.cells([found], {}) == []
