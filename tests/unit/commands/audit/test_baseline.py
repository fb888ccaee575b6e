# SPDX-License-Identifier: GPL-2.0-or-later
"""Verdicts compared with those of a run before."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.checks import Finding, Status
from kprobe_tool.errors import ExitCode

from ... import formats
from .audits import (
    AFFECTED,
    FIRST,
    LOW,
    OK,
    SECOND,
    THIRD,
    UNKNOWN,
    Capsys,
    document,
    run_audit,
)


@pytest.mark.parametrize("option", ["--waivers", "--baseline"])
def test_files_that_cannot_be_read(option: str, tmp_path: Path, capsys: Capsys) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(1 << 30)
    for path, words in ((tmp_path / "no", "ENOENT"), (tmp_path, "EISDIR"), (large, "larger than")):
        code, out, err = run_audit(capsys, option, str(path))
        assert (code, out, err.count("\n")) == (ExitCode.CANNOT_RUN, "", 1)
        assert words in err


def test_what_changed_since_the_baseline_is_told(kernel: Callable[..., None], tmp_path: Path, capsys: Capsys) -> None:
    kernel({FIRST: AFFECTED, SECOND: UNKNOWN})
    before = document(capsys)
    gone = {**before["results"][-1], "id": "gone-check"}
    # As if the third check were new.
    before["results"] = [*(row for row in before["results"] if row["id"] != THIRD), gone]
    before["host"]["time"] = "2020-01-01T00:00:00Z"
    path = tmp_path / "before.json"
    path.write_text(json.dumps(before))
    kernel({FIRST: Finding(Status.AFFECTED, "another reason", evidence={"x": 2}), SECOND: OK})
    found = document(capsys, "--baseline", str(path))
    assert found["warnings"] == []
    assert found["baseline"] == {
        "hostname": before["host"]["hostname"],
        "release": before["host"]["release"],
        "time": "2020-01-01T00:00:00Z",
        "changes": [
            {"id": SECOND, "change": "changed", "before": "unknown", "now": "ok"},
            {"id": THIRD, "change": "new", "before": None, "now": "ok"},
            {"id": "gone-check", "change": "gone", "before": "ok", "now": None},
        ],
    }
    _, out, _ = run_audit(capsys, "--baseline", str(path))
    lines = [line.split() for line in out[out.index("Since 2020") :].splitlines()[1:5]]
    assert lines == [
        ["CHANGE", "ID", "BEFORE", "NOW"],
        ["changed", SECOND, "unknown", "ok"],
        ["new", THIRD, "-", "ok"],
        ["gone", "gone-check", "ok", "-"],
    ]


def test_a_baseline_of_the_same_host_has_no_changes(
    kernel: Callable[..., None], tmp_path: Path, capsys: Capsys
) -> None:
    path = tmp_path / "before.json"
    assert run_audit(capsys, "--write", str(path), "-o", "json")[:2] == (0, "")
    time.sleep(1)
    assert document(capsys, "--baseline", str(path))["baseline"]["changes"] == []
    assert "no verdict has changed" in run_audit(capsys, "--baseline", str(path))[1]
    # What was left out now is not gone.
    assert document(capsys, "--baseline", str(path), "--skip", "rds")["baseline"]["changes"] == []


def test_a_baseline_of_another_host_is_a_warning(kernel: Callable[..., None], tmp_path: Path, capsys: Capsys) -> None:
    before = document(capsys)
    before["host"]["hostname"] = "other\x1b[31m"
    path = tmp_path / "before.json"
    path.write_text(json.dumps(before))
    code, out, err = run_audit(capsys, "--baseline", str(path))
    assert code == 0
    assert err == "kprobe-tool: audit: the baseline is of another host, 'other\\x1b[31m'\n"
    assert "\x1b[31m" not in out
    assert run_audit(capsys, "--baseline", str(path), "-q")[1:] == ("", "")
    _, out, err = run_audit(capsys, "--baseline", str(path), "-o", "prometheus")
    formats.prometheus(out)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 2}, "schema_version 2, and this kprobe-tool writes 1"),
        ({"schema_version": "x" * 1000}, "schema_version 'xxx"),
        ({"document": "doctor"}, "not the output of 'kprobe-tool audit -o json': it is the document 'doctor'"),
        ({"document": ...}, "missing 'document'"),
        ({"results": ...}, "missing 'results'"),
        ({"host": ...}, "missing 'host'"),
        ({"host": {"hostname": 1, "release": "", "time": ""}}, "a name that is no text"),
        ({"results": None}, "not the output of"),
        ({"results": [{"id": "x", "status": "fine"}]}, "'fine' is not a valid Status"),
        ({"results": [{"id": [], "status": "ok"}]}, "not the output of"),
        (None, "not the output of"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_bad_baselines_are_one_line(
    change: dict[str, Any] | str | None, words: str, kernel: Callable[..., None], tmp_path: Path, capsys: Capsys
) -> None:
    path = tmp_path / "before.json"
    if isinstance(change, dict):
        before = {**document(capsys), **change}
        path.write_text(json.dumps({key: value for key, value in before.items() if value is not ...}))
    else:
        path.write_text(change or "[]")
    code, out, err = run_audit(capsys, "--baseline", str(path))
    assert (code, out) == (ExitCode.CANNOT_RUN, "")
    assert err.count("\n") == 1 and err.startswith(f"kprobe-tool: audit: {path}: ") and words in err


def test_quiet_with_a_baseline_shows_what_has_changed(
    kernel: Callable[..., None], tmp_path: Path, capsys: Capsys
) -> None:
    path = tmp_path / "before.json"
    assert run_audit(capsys, "--write", str(path), "-o", "json")[0] == 0
    assert run_audit(capsys, "-q", "--baseline", str(path), "--fail-on", "changed") == (0, "", "")
    kernel({LOW: UNKNOWN})
    code, out, _ = run_audit(capsys, "-q", "--baseline", str(path), "--fail-on", "changed")
    assert code == ExitCode.FOUND
    assert ["changed", LOW, "ok", "unknown"] in [line.split() for line in out.splitlines()]
    assert run_audit(capsys, "--fail-on", "changed")[0] == ExitCode.CANNOT_RUN
