# SPDX-License-Identifier: GPL-2.0-or-later
"""What keeps a check from being asked is an unknown that says what, and what it needs."""

from __future__ import annotations

import errno as errnos

import pytest

from kprobe_tool.checks import CHECKS, Finding, Status, evaluate
from kprobe_tool.checks.model import Needs, Root
from kprobe_tool.errors import Error

NEEDS = Needs(Root.ALWAYS, ("rds",), ("a tail wind",))
CHECK = CHECKS[0]._replace(id="made-up", needs=NEEDS, function=f"{__name__}:ask")
failure: Exception | None = None


def ask(check_id: str) -> object:
    assert check_id == "made-up"
    if failure is not None:
        raise failure
    return "no finding"


@pytest.mark.parametrize(
    ("error", "reason", "settle"),
    [
        (
            OSError(errnos.EACCES, "Permission denied", "/proc/modules"),
            "/proc/modules: Permission denied (EACCES)",
            f"what it needs: {NEEDS}",
        ),
        (
            OSError(errnos.ENOMEM, "Cannot allocate memory"),
            "made-up: Cannot allocate memory (ENOMEM)",
            f"what it needs: {NEEDS}",
        ),
        (Error("rds", "not there", hint="load it"), "rds: not there", "load it"),
        (Error("rds", "not there"), "rds: not there", f"what it needs: {NEEDS}"),
    ],
)
def test_what_cannot_be_asked_is_unknown(
    error: Exception, reason: str, settle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.failure", error)
    finding = evaluate(CHECK)
    assert (finding.status, finding.settle) == (Status.UNKNOWN, settle)
    assert finding.reason.startswith(reason)


def test_a_function_that_gives_no_finding_is_a_bug() -> None:
    with pytest.raises(TypeError, match="no finding"):
        CHECK.run()


def test_unknown_names_a_way_out() -> None:
    with pytest.raises(ValueError, match="settle"):
        Finding(Status.UNKNOWN, "why")
    assert Finding(Status.OK, "why").settle is None


def test_needs_are_told_in_words() -> None:
    assert str(NEEDS) == "root, module rds, a tail wind"
    assert str(Needs(Root.SOMETIMES)) == "nothing"
