# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``fleet`` prints, and its exit codes."""

import json
from pathlib import Path

import pytest

from kprobe_tool.cli import run
from kprobe_tool.commands.fleet.picture import name_some
from kprobe_tool.errors import ExitCode

from .test_merge import report, write

Capsys = pytest.CaptureFixture[str]


def test_people_read_checks_outliers_and_hosts(tmp_path: Path, capsys: Capsys) -> None:
    reports = [report(f"web{number}", rds_netns_delivery="ok") for number in range(8)]
    reports.append(report("web8", rds_netns_delivery="affected"))
    paths = write(tmp_path, *reports)
    assert run(["fleet", *paths]) == ExitCode.FOUND
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out == (
        "9 hosts, 1 kernel, asked at 2026-11-20T01:00:00Z\n"
        "\n"
        "CHECK               SEVERITY  AFFECTED  UNKNOWN  WAIVED  OK  N/A\n"
        "rds-netns-delivery  high             1        0       0   8    0\n"
        "\n"
        "Hosts of one kernel that disagree\n"
        "CHECK               KERNEL          MOST HOSTS  OTHERS\n"
        "rds-netns-delivery  6.1.0-56-amd64  ok (8)      affected: web8\n"
        "\n"
        "Hosts\n"
        "HOST  KERNEL          ASKED                 HIGH  MEDIUM  LOW  UNKNOWN  AFFECTED BY\n"
        "web8  6.1.0-56-amd64  2026-11-20T01:00:00Z     1       0    0        0  rds-netns-delivery\n"
        "\n"
        "RESULT: 1 of 9 hosts affected, by the worst of each: 1 high.\n"
    )
    assert run(["fleet", "-o", "wide", *paths]) == ExitCode.FOUND
    out = capsys.readouterr().out
    assert "web3" in out
    assert "nvme-cpu-balance" in out


@pytest.mark.parametrize(
    ("names", "text"),
    [(["b0"], "b0"), ([f"b{number}" for number in range(8)], "b0, b1, b2, b3, b4 and 3 more")],
)
def test_many_hosts_are_not_all_named(names: list[str], text: str) -> None:
    assert name_some(names) == text


@pytest.mark.parametrize(
    ("statuses", "options", "code"),
    [
        (["ok"], [], ExitCode.OK),
        (["affected"], [], ExitCode.FOUND),
        (["affected"], ["--fail-on", "never"], ExitCode.OK),
        (["unknown"], [], ExitCode.OK),
        (["unknown"], ["--fail-on", "unknown"], ExitCode.CANNOT_TELL),
        (["ok", None], [], ExitCode.CANNOT_TELL),
        (["affected", None], [], ExitCode.FOUND),
        ([None], [], ExitCode.CANNOT_RUN),
    ],
)
def test_exit_codes_are_those_of_the_worst_host(
    tmp_path: Path, capsys: Capsys, statuses: list[str | None], options: list[str], code: ExitCode
) -> None:
    """None is a report that cannot be read."""
    reports = [
        {} if status is None else report(f"web{number}", rds_netns_delivery=status)
        for number, status in enumerate(statuses)
    ]
    assert run(["fleet", *options, *write(tmp_path, *reports)]) == code
    assert capsys.readouterr().err.count("\n") == statuses.count(None)


def test_scripts_read_hosts_outliers_and_errors(tmp_path: Path, capsys: Capsys) -> None:
    reports = [report("a", rds_netns_delivery="ok"), report("b", rds_netns_delivery="unknown"), {}]
    run(["fleet", "-o", "json", *write(tmp_path, *reports)])
    document = json.loads(capsys.readouterr().out)
    assert [(row["hostname"], row["checks"]["rds-netns-delivery"]) for row in document["results"]] == [
        ("a", "ok"),
        ("b", "unknown"),
    ]
    (outlier,) = document["outliers"]
    assert outlier["usual"] == {"status": "ok", "hosts": 1}
    assert outlier["others"] == [{"hostname": "b", "status": "unknown"}]
    assert [error["subject"] for error in document["errors"]] == [str(tmp_path / "2.json")]


def test_a_missing_directory_is_an_error(tmp_path: Path, capsys: Capsys) -> None:
    assert run(["fleet", str(tmp_path / "none")]) == ExitCode.CANNOT_RUN
    assert "No such file or directory (ENOENT)" in capsys.readouterr().err
