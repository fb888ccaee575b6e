# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the tests of audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from kprobe_tool.checks import Check, Finding
from kprobe_tool.probes import audit

from .audits import OK, Answer


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make checks answer: all OK but those that are given."""

    def answers(found: Mapping[str, Answer] | None = None, rest: Finding = OK) -> None:
        def evaluate(check: Check) -> Finding:
            answer = (found or {}).get(check.id, rest)
            return answer if isinstance(answer, Finding) else answer()

        monkeypatch.setattr(audit, "evaluate", evaluate)

    answers()
    return answers
