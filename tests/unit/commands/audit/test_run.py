# SPDX-License-Identifier: GPL-2.0-or-later
"""Which checks are run, and what a run knows about those that are not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from kprobe_tool.checks import CHECKS, Root
from kprobe_tool.cli import run
from kprobe_tool.errors import ExitCode
from kprobe_tool.native import host as native_host
from kprobe_tool.probes import host

from .audits import (
    FIRST,
    LAST,
    UNKNOWN,
    Capsys,
    document,
    run_audit,
)


@pytest.mark.parametrize(
    ("args", "left"),
    [
        (("--only", FIRST), [FIRST]),
        (("--only", FIRST, "--only", LAST), [FIRST, LAST]),
        (("--only", "rds"), [check.id for check in CHECKS if check.system == "rds"]),
        (("--skip", "rds"), [check.id for check in CHECKS if check.system != "rds"]),
        (("--only", "rds", "--skip", FIRST), [check.id for check in CHECKS if check.system == "rds"][1:]),
    ],
)
def test_only_and_skip_choose_checks(
    args: Sequence[str], left: list[str], kernel: Callable[..., None], capsys: Capsys
) -> None:
    found = document(capsys, *args)
    assert [row["id"] for row in found["results"]] == left
    assert found["summary"]["left_out"] == [check.id for check in CHECKS if check.id not in left]
    listed = document(capsys, *args, "--list")
    assert [row["id"] for row in listed["results"]] == left


def test_only_authors_of_programs_are_told_of_their_bugs(kernel: Callable[..., None], capsys: Capsys) -> None:
    authors = [check.id for check in CHECKS if not check.default]
    assert authors == ["openat2-usize-limit", "copy-struct-to-user"]
    capsys.readouterr()
    assert run(["audit", "-o", "json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    assert found["summary"]["left_out"] == authors
    assert [row["id"] for row in document(capsys, "--only", ",".join(authors))["results"]] == authors


def test_checks_can_be_chosen_by_cve(kernel: Callable[..., None], capsys: Capsys) -> None:
    chosen = document(capsys, "--only", "CVE-2026-97476, nvme-queue-count", "--skip", "rds-info-count-leak")
    assert [row["id"] for row in chosen["results"]] == ["rds-info-netns-leak", "nvme-queue-count"]


@pytest.mark.parametrize("root", [True, False])
def test_what_root_may_settle_is_counted(
    root: bool, kernel: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    never = next(check.id for check in CHECKS if check.needs.root is Root.NEVER)
    sometimes = next(check.id for check in CHECKS if check.needs.root is Root.SOMETIMES)
    kernel({never: UNKNOWN, sometimes: UNKNOWN})
    monkeypatch.setattr(host, "as_root", lambda: root)
    summary = document(capsys)["summary"]
    assert (summary["root"], summary["root_may_settle"]) == (root, [] if root else [sometimes])
    _, out, _ = run_audit(capsys)
    assert ("this was not root, which may settle 1" in out) == (not root)


def test_without_proc_nobody_is_root(
    kernel: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    def fail(name: str) -> str | None:
        raise FileNotFoundError(2, "No such file or directory", "/proc/self/status")

    monkeypatch.setattr(native_host, "in_initial_user_namespace", lambda: True)
    monkeypatch.setattr(native_host, "status_field", fail)
    assert document(capsys)["summary"]["root"] is False
