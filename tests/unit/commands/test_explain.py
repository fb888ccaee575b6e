# SPDX-License-Identifier: GPL-2.0-or-later
"""explain from the command line to the exit code."""

from __future__ import annotations

import json

import pytest

from kprobe_tool.checks import CHECKS
from kprobe_tool.cli import run
from kprobe_tool.errors import ExitCode

from .refusals import assert_refused

Capsys = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("args", "explained"),
    [
        (["rds"], [check.id for check in CHECKS if check.system == "rds"]),
        (["CVE-2026-97476"], ["rds-info-netns-leak", "rds-info-count-leak"]),
        (["nvme-queue-count", "rds-bind-netns"], ["rds-bind-netns", "nvme-queue-count"]),
        (["--all"], [check.id for check in CHECKS]),
    ],
)
def test_checks_are_explained_by_id_system_and_cve(args: list[str], explained: list[str], capsys: Capsys) -> None:
    assert run(["explain", *args, "-o", "json"]) == ExitCode.OK
    assert [row["id"] for row in json.loads(capsys.readouterr().out)["results"]] == explained


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            ["explain", "rds-bind-nets"],
            "'rds-bind-nets': no such check, system or CVE; did you mean 'rds-bind-netns'?",
        ),
        (["explain"], "which check? Its id, a system or a CVE number, or else --all"),
        (["explain", "rds", "--all"], "which check?"),
    ],
)
def test_bad_arguments_are_one_line(args: list[str], words: str, capsys: Capsys) -> None:
    assert_refused(args, words, capsys)
