"""What an observer's numbers mean. The experiment itself runs in booted kernels."""

from typing import Any

import pytest

from kprobe_tool.checks import CHECKS, Status, evaluate
from kprobe_tool.errors import Error
from kprobe_tool.native.kmod import AliasTarget
from kprobe_tool.probes.rds import experiment as experiment_module
from kprobe_tool.probes.rds.experiment import Experiment, OptionResult, Outcome, judge
from kprobe_tool.probes.rds.presence import Presence


def seen(seen: int, own: int, counted: int) -> dict[str, Any]:
    return {"seen": seen, "own": own, "counted": counted}


@pytest.mark.parametrize(
    ("optname", "answer", "canary", "outcome"),
    [
        ("RDS_INFO_CONNECTIONS", seen(0, 0, 0), 3, "isolated"),
        ("RDS_INFO_CONNECTIONS", seen(3, 0, 3), 3, "leaks"),
        # Rows of others prove it, canary or not.
        ("RDS_INFO_CONNECTIONS", seen(1, 0, 1), 0, "leaks"),
        ("RDS_INFO_CONNECTIONS", seen(0, 0, 3), 3, "count-leaks"),
        # Nothing there, nothing seen: an idle host that leaks looks the same.
        ("RDS_INFO_CONNECTIONS", seen(0, 0, 0), 0, "inconclusive"),
        ("RDS_INFO_CONNECTIONS", {"errno": "ENOPROTOOPT"}, 0, "unavailable"),
        ("RDS_INFO_CONNECTIONS", {"errno": "EPERM"}, 3, "inconclusive"),
        ("RDS_INFO_COUNTERS", seen(42, 0, 42), 42, "global"),
        ("RDS6_INFO_SOCKETS", seen(1, 1, 1), 2, "isolated"),
        ("RDS6_INFO_SOCKETS", seen(3, 1, 3), 2, "leaks"),
        # The observer's own unbound socket is counted here and not listed.
        ("RDS_INFO_SOCKETS", seen(0, 0, 1), 2, "isolated"),
        ("RDS_INFO_SOCKETS", seen(0, 0, 3), 2, "count-leaks"),
    ],
)
def test_judge(optname: str, answer: dict[str, Any], canary: int, outcome: str) -> None:
    assert judge(optname, answer, canary).outcome == outcome


def option(name: str, outcome: Outcome) -> OptionResult:
    return OptionResult(name, outcome, 0, 0, 0, 1)


def experiment(
    outcomes: dict[str, Outcome], delivered: bool | None = False, bind_taken: bool | None = False
) -> Experiment:
    options = [option(name, outcome) for name, outcome in outcomes.items()]
    return Experiment(options, delivered, "d", bind_taken, "b", {}, "made")


def statuses(monkeypatch: pytest.MonkeyPatch, done: Experiment | Error, registered: bool = True) -> dict[str, Status]:
    monkeypatch.setattr(experiment_module, "presence", lambda: Presence(registered, (), None))
    monkeypatch.setattr(experiment_module, "attempt", lambda: done)
    return {check.id: evaluate(check).status for check in CHECKS if check.system == "rds"}


SOCKETS, SEND = "RDS_INFO_SOCKETS", "RDS_INFO_SEND_MESSAGES"
UNKNOWN, OK, AFFECTED = Status.UNKNOWN, Status.OK, Status.AFFECTED


@pytest.mark.parametrize(
    ("done", "rows", "counts", "delivery", "bind"),
    [
        (experiment({SOCKETS: Outcome.ISOLATED, SEND: Outcome.ISOLATED}), OK, OK, OK, OK),
        (experiment({SOCKETS: Outcome.LEAKS, SEND: Outcome.ISOLATED}), AFFECTED, AFFECTED, OK, OK),
        (experiment({SOCKETS: Outcome.COUNT_LEAKS, SEND: Outcome.ISOLATED}), OK, AFFECTED, OK, OK),
        (experiment({SOCKETS: Outcome.ISOLATED, SEND: Outcome.INCONCLUSIVE}), OK, OK, OK, OK),
        (experiment({SOCKETS: Outcome.INCONCLUSIVE, SEND: Outcome.ISOLATED}), UNKNOWN, UNKNOWN, OK, OK),
        (experiment({SOCKETS: Outcome.ISOLATED}, None, None), OK, OK, UNKNOWN, UNKNOWN),
        (experiment({SOCKETS: Outcome.ISOLATED}, True, True), OK, OK, AFFECTED, AFFECTED),
        (Error("leak check", "no", hint="root"), UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN),
    ],
)
def test_verdicts(
    done: Experiment | Error,
    rows: Status,
    counts: Status,
    delivery: Status,
    bind: Status,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert statuses(monkeypatch, done) == {
        "rds-info-netns-leak": rows,
        "rds-info-count-leak": counts,
        "rds-netns-delivery": delivery,
        "rds-bind-netns": bind,
    }


def test_rds_that_is_not_there_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = statuses(monkeypatch, Error("must", "not be asked"), registered=False)
    assert set(found.values()) == {Status.NOT_APPLICABLE}


@pytest.mark.parametrize(
    ("autoload", "words"),
    [
        (None, "no alias net-pf-21"),
        (
            AliasTarget("rds", "/lib/modules/x/modules.alias", None),
            "a socket() call by any user would load module rds",
        ),
        (AliasTarget("rds", "a", "blacklist rds (b)"), "would not load it: blacklist rds (b)"),
    ],
)
def test_absence_says_whether_a_socket_would_load_it(autoload: AliasTarget | None, words: str) -> None:
    assert words in Presence(False, (), autoload).absence()


@pytest.mark.parametrize(
    ("symbols", "words"),
    [
        (None, "cannot be read"),
        ({}, "no symbol of an unfixed kernel"),
        ({"rds_sock_count": "rds"}, "has rds_sock_count, which the fix removed"),
    ],
)
def test_second_witness(symbols: dict[str, str | None] | None, words: str) -> None:
    assert words in Experiment([], False, "d", False, "b", symbols, "made").second_witness()
