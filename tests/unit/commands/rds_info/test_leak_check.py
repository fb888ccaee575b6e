# SPDX-License-Identifier: GPL-2.0-or-later
"""rds-info --leak-check, with every outcome that an option can have."""

from __future__ import annotations

import pytest
from jsonschema import ValidationError

from kprobe_tool.errors import Error
from kprobe_tool.probes.rds import checks as rds_checks
from kprobe_tool.probes.rds import experiment, judge
from kprobe_tool.probes.rds import presence as presence_module
from kprobe_tool.probes.rds.experiment import VARIABLE, DeliveryAttempt, IsolationExperiment, OptionAnswer
from kprobe_tool.probes.rds.presence import Presence

from ...documents import (
    SCHEMAS,
    Capsys,
    check,
    check_command,
)

pytestmark = pytest.mark.usefixtures("sk_msg")

EVERY_OUTCOME = {
    # What the observer saw, and how many rows were there to be seen.
    "RDS_INFO_COUNTERS": (OptionAnswer(1, 0, 1), 1),
    "RDS_INFO_CONNECTIONS": (OptionAnswer(2, 0, 2), 1),
    "RDS_INFO_RECV_MESSAGES": (OptionAnswer(0, 0, 1), 1),
    "RDS6_INFO_SOCKETS": (OptionAnswer(1, 1, 1), 1),
    "RDS_INFO_IB_CONNECTIONS": (OptionAnswer(errno="ENOPROTOOPT"), 0),
    "RDS_INFO_SEND_MESSAGES": (OptionAnswer(errno="EPERM"), 0),
    "RDS_INFO_RETRANS_MESSAGES": (OptionAnswer(), 0),
}


def experiment_of(
    answers: dict[str, tuple[OptionAnswer, int]],
    delivery: DeliveryAttempt,
    bind_errno: str | None,
    symbols: dict[str, str | None] | None,
) -> IsolationExperiment:
    return IsolationExperiment(
        {name: answer for name, (answer, _) in answers.items()},
        {name: rows for name, (_, rows) in answers.items()},
        delivery,
        bind_errno,
        symbols,
        "made",
    )


EXPERIMENTS = {
    "everything": experiment_of(
        EVERY_OUTCOME,
        DeliveryAttempt(True, None, 0, True, True),
        "EADDRINUSE",
        {VARIABLE: "rds", "rds_sock_count": "rds"},
    ),
    "nothing": experiment_of(
        {"RDS_INFO_SOCKETS": (OptionAnswer(errno="EPERM"), 0)},
        DeliveryAttempt(False, "EPERM", None, False, False),
        "EPERM",
        None,
    ),
    "isolated": experiment_of(
        {"RDS6_INFO_SOCKETS": (OptionAnswer(1, 1, 1), 1)},
        DeliveryAttempt(False, None, 0, True, True),
        None,
        {VARIABLE: "rds"},
    ),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_documents_of_every_outcome_fit_the_schema(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    loaded = Presence(True, ("rds", "rds_tcp"), None)
    monkeypatch.setattr(presence_module, "presence", lambda: loaded)
    monkeypatch.setattr(rds_checks, "presence", lambda: loaded)
    monkeypatch.setattr(experiment, "attempt", lambda: EXPERIMENTS[name])
    document = check_command(capsys, "rds-info-leak-check", "rds-info", "--leak-check")
    assert len(document["results"]) == len(EXPERIMENTS[name].observed)
    audit = check_command(capsys, "audit", "audit")
    assert [row for row in audit["results"] if row["system"] == "rds"] == document["findings"]
    for finding in document["findings"]:
        for wrong in (
            {**finding, "evidence": {"surprise": 1}},
            {**finding, "status": "fine"},
            {**finding, "settle": None if finding["settle"] else "x"},
        ):
            with pytest.raises(ValidationError):
                check(SCHEMAS["audit"], {**audit, "results": [wrong]})


def test_every_outcome_is_tried() -> None:
    assert {result.outcome for result in judge.judge_options(EXPERIMENTS["everything"])} == set(judge.Isolation)


def test_a_leak_check_that_cannot_be_run_says_why(monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    loaded = Presence(True, ("rds",), None)
    monkeypatch.setattr(presence_module, "presence", lambda: loaded)
    monkeypatch.setattr(rds_checks, "presence", lambda: loaded)
    monkeypatch.setattr(experiment, "attempt", lambda: Error("leak check", errno=1, hint="root"))
    document = check_command(capsys, "rds-info-leak-check", "rds-info", "--leak-check")
    assert [error["errno"] for error in document["errors"]] == ["EPERM"]
