# SPDX-License-Identifier: GPL-2.0-or-later
"""What skmsg check says besides the verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import ValidationError

from kprobe_tool.cli import run
from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.native import host
from kprobe_tool.probes.skmsg import experiment

from ...documents import SCHEMAS, SKMSG, Capsys, check, check_command

DATA = Path(__file__).parents[2] / "data" / "skmsg" / "6.12.43+deb12-amd64.json"


@pytest.fixture
def namespace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Whether the child had a network namespace of its own."""
    seen = json.loads(DATA.read_text(encoding="utf-8")) | {"own_netns": request.param}
    monkeypatch.setattr(host, "effective_capabilities", lambda: frozenset({"CAP_SYS_ADMIN"}))
    monkeypatch.setattr(experiment, "gather", lambda deadline: seen)
    experiment.attempt.cache_clear()
    yield bool(request.param)
    experiment.attempt.cache_clear()


@pytest.mark.parametrize("namespace", [True, False], indirect=True)
def test_connections_in_the_namespace_of_the_host_are_a_warning(
    namespace: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where unshare(2) is refused, the connections are made among those of the host: it says so."""
    assert run(["skmsg", "check", "-o", "json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["own_netns"] is namespace
    assert ("the test connections were made in this network namespace" in err) is not namespace


@pytest.mark.parametrize("path", SKMSG, ids=lambda path: path.stem)
def test_each_capture_gives_a_document_that_fits_its_schema(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    seen = experiment.experiment_of(json.loads(path.read_text(encoding="utf-8")))
    monkeypatch.setattr(experiment, "attempt", lambda: seen)
    document = check_command(capsys, "skmsg-check", "skmsg", "check")
    assert len(document["results"]) == 12
    audit = check_command(capsys, "audit", "audit", "--only", "skmsg")
    for row, finding in zip(audit["results"], document["findings"], strict=True):
        assert {name: row[name] for name in finding} == finding
        with pytest.raises(ValidationError):
            check(SCHEMAS["audit"], {**audit, "results": [{**row, "evidence": {"surprise": 1}}]})
    for row in document["results"]:
        for wrong in ({**row, "surprise": 1}, {**row, "outcome": "fine"}, {**row, "evidence": {}}):
            with pytest.raises(ValidationError):
                check(SCHEMAS["skmsg-check"], {**document, "results": [wrong]})


def test_a_check_that_cannot_be_run_says_what_settles_it(monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    error = Error("BPF on sockets", errno=1, hint="run as root")
    monkeypatch.setattr(experiment, "attempt", lambda: error)
    audit = check_command(capsys, "audit", "audit", "--only", "skmsg")
    assert {(row["status"], row["settle"]) for row in audit["results"]} == {("unknown", "run as root")}
    assert run(["skmsg", "check"]) == ExitCode.CANNOT_TELL
    assert capsys.readouterr().err.startswith(
        "kprobe-tool: skmsg check: BPF on sockets: Operation not permitted (EPERM)"
    )
