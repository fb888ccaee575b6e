# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of checks is data: what must hold for every row."""

import re

import pytest

from kprobe_tool.checks import CHECKS, SYSTEMS, Check, Finding, Needs, Root, Severity, Status, evaluate
from kprobe_tool.errors import Error

OK = Finding(Status.OK, "r")


def test_ids_are_unique() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_rows_are_complete(check: Check) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", check.id)
    assert check.title and len(check.title) < 80 and not check.title.endswith(".")
    assert check.meaning.endswith(".") and check.look_for.endswith(".") and check.remedy.endswith(".")
    assert check.references
    module, _, function = check.function.partition(":")
    assert module.startswith("kprobe_tool.probes.")
    imported = __import__(module, fromlist=[function])
    assert callable(getattr(imported, function))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_check_passes_its_id_on(monkeypatch: pytest.MonkeyPatch, check: Check) -> None:
    passed_on = []

    def function(check_id: str) -> Finding:
        passed_on.append(check_id)
        return OK

    monkeypatch.setattr(check.function.replace(":", "."), function)
    assert check.run() is OK
    assert passed_on == [check.id]


def test_ids_are_no_systems() -> None:
    """--only and --skip take either."""
    assert not {check.id for check in CHECKS} & set(SYSTEMS)


@pytest.mark.parametrize(
    ("needs", "text"),
    [
        (Needs(), "nothing"),
        (
            Needs(Root.SOMETIMES, modules=("rds",), others=("user namespaces or root",)),
            "module rds, user namespaces or root",
        ),
        (Needs(Root.ALWAYS, modules=("tls",)), "root, module tls"),
    ],
)
def test_needs_are_told_in_words(needs: Needs, text: str) -> None:
    assert str(needs) == text


def check_of(outcome: object) -> Check:
    """A row whose function gives or raises ``outcome``."""

    class Row(Check):
        def run(self) -> Finding:
            if isinstance(outcome, Finding):
                return outcome
            assert isinstance(outcome, BaseException)
            raise outcome

    return Row("a-b", "t", Severity.LOW, "s", Needs(Root.ALWAYS), ("r",), "m.", "l.", "r.", "kprobe_tool.probes.x:y")


@pytest.mark.parametrize("error", [Error("x", "y"), OSError(13, "Permission denied", "/proc/x"), OSError("odd")])
def test_an_error_is_unknown_never_ok(error: BaseException) -> None:
    finding = evaluate(check_of(error))
    assert finding.status is Status.UNKNOWN
    assert finding.settle


def test_a_bug_in_a_check_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        evaluate(check_of(ZeroDivisionError()))


def test_unknown_must_say_what_would_settle_it() -> None:
    with pytest.raises(ValueError, match="settle"):
        Finding(Status.UNKNOWN, "why")
