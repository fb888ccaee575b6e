# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs of audit whose checks answer as the test says, and what is written of them."""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import signal
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from kprobe_tool.checks import CHECKS, Finding, Method, Status
from kprobe_tool.cli import run
from kprobe_tool.report.output import COMMON, Output

from ... import formats

Capsys = pytest.CaptureFixture[str]
Answer = Finding | Callable[[], Finding]
FIRST, SECOND, THIRD, LAST = (CHECKS[number].id for number in (0, 1, 2, -1))
OK = Finding(Status.OK, "fine")
AFFECTED = Finding(Status.AFFECTED, "it | does", evidence={"seen": {"x": 1}, "more": "\x1b[31m"})
UNKNOWN = Finding(Status.UNKNOWN, "no way to tell", settle="root")
ABSENT = Finding(Status.NOT_APPLICABLE, "not there", Method.CONFIG)


def run_audit(capsys: Capsys, *args: str) -> tuple[int, str, str]:
    capsys.readouterr()
    # With all checks, except where a test is about which are left out.
    everything = [] if {"--list", "--only", "-q"} & set(args) else ["--all"]
    code = run(["audit", *everything, *args])
    out, err = capsys.readouterr()
    return code, out, err


def document(capsys: Capsys, *args: str) -> Any:
    _, out, err = run_audit(capsys, *args, "-o", "json")
    assert out, err
    return json.loads(out)


def statuses(found: Any) -> dict[str, str]:
    return {row["id"]: row["status"] for row in found["results"]}


def segfault() -> Finding:
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGSEGV)
    return OK


LOW, HIGH = "rds-bind-netns", "rds-netns-delivery"
OUTCOMES: dict[str, dict[str, Answer]] = {
    "nothing": {},
    "low": {LOW: AFFECTED},
    "high": {LOW: AFFECTED, HIGH: AFFECTED},
    "unknown": {HIGH: UNKNOWN},
    "both": {LOW: AFFECTED, HIGH: UNKNOWN},
    "crash": {HIGH: segfault},
}
FORMATS = (*COMMON, Output.PROMETHEUS, Output.NRPE, Output.LINE)


def check_text(output: Output, text: str, outcome: Mapping[str, Answer]) -> None:
    """What each format says of the outcome, read as its readers would. JSON is for its schema to judge."""
    affected = {name for name, answer in outcome.items() if answer is AFFECTED}
    unknown = set(outcome) - affected
    if output is Output.PROMETHEUS:
        samples = formats.prometheus(text)["kprobe_tool_check_status"]
        assert len(samples) == 4 * len(CHECKS)
        has = {labels["check"]: labels["status"] for labels, value in samples if value == 1}
        assert {name for name, status in has.items() if status == "affected"} == affected
        assert {name for name, status in has.items() if status == "unknown"} == unknown
        assert set(has) == {check.id for check in CHECKS}
    elif output is Output.NRPE:
        _, figures, details = formats.nrpe(text)
        assert (figures["affected"], figures["unknown"]) == (len(affected), len(unknown))
        assert sum(figures.values()) == len(CHECKS)
        assert len(details) == len(outcome)
    elif output in {Output.JSON, Output.JSONL}:
        lines = [json.loads(line) for line in text.splitlines()] if output is Output.JSONL else []
        rows = json.loads(text)["results"] if output is Output.JSON else [x for x in lines if x["type"] == "result"]
        assert {row["id"] for row in rows if row["status"] == "affected"} == affected
        assert {row["id"] for row in rows if row["status"] == "unknown"} == unknown
    elif output is Output.LINE:
        assert text.count("\n") == 1 and len(text.encode()) <= 81
        assert text.startswith("AFFECTED" if affected else "could not tell" if unknown else "nothing found")
    else:
        words = [line.split()[:2] for line in text.splitlines()]
        assert {line[1] for line in words if line[:1] == ["affected"]} == affected
        assert {line[1] for line in words if line[:1] == ["unknown"] and not line[1].isdigit()} == unknown
        # A line that is wrapped is the last all the same.
        last = text.rpartition("\n\n")[2].splitlines()
        assert last[0].startswith("RESULT: ") and all(line.startswith(" " * 8) for line in last[1:])


def today() -> date:
    """Asked for when it is needed: tests may run past midnight."""
    return datetime.now(UTC).date()


def waiver(name: str, reason: str = '"we know"', until: str | None = None) -> str:
    """A table of a file of waivers; without ``until`` it holds for the last day today."""
    return f'[[waiver]]\nid = "{name}"\nreason = {reason}\nuntil = {until or today()}\n'
