# SPDX-License-Identifier: GPL-2.0-or-later
"""Audits as people see them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kprobe_tool.checks import CHECKS, Finding, Status
from kprobe_tool.cli import run
from kprobe_tool.errors import ExitCode
from kprobe_tool.probes import host

from .audits import (
    ABSENT,
    AFFECTED,
    HIGH,
    LAST,
    LOW,
    UNKNOWN,
    Capsys,
    run_audit,
    waiver,
)


@pytest.mark.parametrize("columns", [80, 160])
def test_a_terminal_is_filled_and_not_exceeded(
    columns: int, kernel: Callable[..., None], capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    long = "word " * 60
    affected = Finding(Status.AFFECTED, long, evidence={"x": "y" * 300, "z": {"a": long}})
    kernel({LOW: affected, HIGH: Finding(Status.UNKNOWN, long, settle=long)}, Finding(Status.NOT_APPLICABLE, long))
    _, out, _ = run_audit(capsys, "--evidence")
    lines = out.splitlines()
    assert columns - 20 <= max(map(len, lines)) <= columns
    _, out, _ = run_audit(capsys, "-o", "wide")
    assert long.strip() in out
    _, out, _ = run_audit(capsys, "--list")
    assert max(map(len, out.splitlines())) <= columns
    rows = [line.split()[0] for line in out[out.index("References") :].splitlines()[2:] if line[0] != " "]
    assert rows == [check.id for check in CHECKS for _ in check.references]


def test_nothing_is_wrapped_in_a_pipe(
    kernel: Callable[..., None], capfd: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    long = "word " * 60 + "end"
    kernel({LOW: Finding(Status.AFFECTED, long)}, Finding(Status.NOT_APPLICABLE, long))
    _, out, _ = run_audit(capfd)
    assert out.count(long) == out.count("word " * 60) and out.count(long) > len(CHECKS)


def test_people_read_findings_counts_and_a_verdict(
    kernel: Callable[..., None], capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole of it: findings by status and severity, counts, and the verdict as the last line."""
    when = {"hostname": "vm", "release": "6.12.43", "arch": "x86_64", "time": "2026-11-21T11:52:07Z"}
    monkeypatch.setattr(host, "identity", lambda: when)
    monkeypatch.setattr(host, "as_root", lambda: True)
    monkeypatch.setattr(time, "monotonic", lambda: 1.0)
    found: dict[str, Finding] = {check.id: ABSENT for check in CHECKS if check.system == "nvme"}
    kernel({**found, LOW: AFFECTED, HIGH: AFFECTED, "rds-info-netns-leak": UNKNOWN})
    # The capture of the test in two calls: the default set, without the checks that are for authors of programs.
    capsys.readouterr()
    assert run(["audit"]) == ExitCode.FOUND
    out = capsys.readouterr().out
    assert out == (Path(__file__).parents[2] / "data" / "golden" / "audit.table").read_text(encoding="utf-8")
    assert "\x1b" not in out


def test_quiet_shows_what_counts(kernel: Callable[..., None], tmp_path: Path, capsys: Capsys) -> None:
    assert run_audit(capsys, "-q") == (0, "", "")
    kernel({LOW: AFFECTED, HIGH: UNKNOWN, LAST: AFFECTED}, ABSENT)
    path = tmp_path / "waivers.toml"
    path.write_text(waiver(LAST))
    code, out, err = run_audit(capsys, "-q", "--waivers", str(path), "--fail-on", "low")
    assert (code, err) == (1, "")
    assert re.findall(r"(?:affected|unknown)  (\S+)", out) == [LOW, HIGH]
    assert "RESULT" not in out and "n/a" not in out


def test_evidence_is_shown(kernel: Callable[..., None], capsys: Capsys) -> None:
    kernel({LOW: AFFECTED})
    assert "Evidence" not in run_audit(capsys)[1]
    _, out, _ = run_audit(capsys, "--evidence")
    assert (
        "seen=x=1" in out
        and "more=\\x1b[31m" in out
        and "\x1b" not in out.replace("\x1b[1m", "").replace("\x1b[0m", "")
    )


def test_what_was_not_checked_is_said(kernel: Callable[..., None], capsys: Capsys) -> None:
    kernel({LOW: UNKNOWN}, ABSENT)
    _, out, _ = run_audit(capsys, "--skip", LAST)
    lines = [line.split(None, 2) for line in out.splitlines()]
    assert ["not", "run", f"1   {LAST}"] in lines
    (absent,) = [line[2] for line in lines if line[:1] == ["n/a"]]
    assert absent.startswith("rds 3 (not there), ")


def test_what_settles_it_is_said_once(kernel: Callable[..., None], capsys: Capsys) -> None:
    """An error's text ends with its hint."""
    kernel({LOW: Finding(Status.UNKNOWN, "bpf(2): not permitted (EPERM); run as root", settle="run as root")})
    _, out, _ = run_audit(capsys, "-q", "--only", LOW)
    assert "        bpf(2): not permitted (EPERM)\n        To settle it: run as root\n" in out
    assert out.count("run as root") == 1
