# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports put together. They are made from one that ``audit`` wrote on 6.18.44, since a fleet is hard to come by."""

import copy
import json
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from kprobe_tool.checks import Severity
from kprobe_tool.commands.fleet import merge
from kprobe_tool.errors import FileError

RECORDED = json.loads((Path(__file__).parents[2] / "data" / "fleet" / "6.18.44.json").read_text())
DELIVERY = "rds-netns-delivery"
LEAK = "rds-info-netns-leak"
EARLY, LATE = "2026-11-20T01:00:00Z", "2026-11-21T01:00:00Z"

Json = dict[str, Any]


def report(hostname: str, *, time: str = EARLY, release: str = "6.1.0-56-amd64", **statuses: str) -> Json:
    document: Json = copy.deepcopy(RECORDED)
    document["host"] |= {"hostname": hostname, "time": time, "release": release}
    for row in document["results"]:
        row["status"] = statuses.get(row["id"].replace("-", "_"), "not-applicable")
    return document


def write(directory: Path, *reports: Json) -> list[str]:
    paths = []
    for number, document in enumerate(reports):
        path = directory / f"{number}.json"
        path.write_text(json.dumps(document))
        paths.append(str(path))
    return paths


def test_hosts_are_counted_by_verdict(tmp_path: Path) -> None:
    waived = report("c", rds_netns_delivery="affected")
    for row in waived["results"]:
        row["waived"] = {"reason": "known", "until": "2027-01-01"} if row["id"] in {DELIVERY, LEAK} else None
    fleet = merge.merge(write(tmp_path, report("a", rds_netns_delivery="affected"), report("b"), waived))
    assert [found.hostname for found in fleet.reports] == ["a", "b", "c"]
    none = {"ok": 0, "affected": 0, "not-applicable": 0, "unknown": 0, "waived": 0}
    assert fleet.counts()[DELIVERY] == {**none, "affected": 1, "not-applicable": 1, "waived": 1}
    # What is waived and does not apply does not apply.
    assert fleet.counts()[LEAK] == {**none, "not-applicable": 3}
    assert fleet.reports[0].count_affected(Severity.HIGH) == 1
    assert fleet.reports[2].count_affected(Severity.HIGH) == 0
    assert not fleet.errors


def test_worst_checks_come_first(tmp_path: Path) -> None:
    severities = list(merge.merge(write(tmp_path, report("a"))).severities().values())
    assert severities == sorted(severities, key=list(Severity).index)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_newest_report_of_a_host_counts(tmp_path: Path, order: tuple[int, int]) -> None:
    both = [report("a", time=EARLY, rds_netns_delivery="affected"), report("a", time=LATE, rds_netns_delivery="ok")]
    paths = write(tmp_path, *(both[index] for index in order))
    fleet = merge.merge(paths)
    assert [found.time for found in fleet.reports] == [LATE]
    older = paths[order.index(0)]
    assert [error.subject for error in fleet.errors] == [older]
    assert "left out: of host 'a'" in str(fleet.errors[0])


def test_a_report_that_is_given_twice_counts_once(tmp_path: Path) -> None:
    (path,) = write(tmp_path, report("a"))
    fleet = merge.merge([path, path])
    assert len(fleet.reports) == 1
    assert [error.subject for error in fleet.errors] == [path]


def test_outliers_are_the_fewer_hosts(tmp_path: Path) -> None:
    ok, affected, unknown = ({"rds_netns_delivery": status} for status in ("ok", "affected", "unknown"))
    reports = [report(name, **ok) for name in ("a", "b")]
    reports += [report("c", **affected), report("d", **unknown), report("e")]
    # Another kernel may say something else.
    reports += [report("f", release="6.12.43", **affected)]
    (outlier,) = merge.merge(write(tmp_path, *reports)).outliers()
    assert (outlier.check, outlier.release) == (DELIVERY, "6.1.0-56-amd64")
    assert (outlier.usual, outlier.agreeing) == ("ok", 2)
    assert outlier.others == {"c": "affected", "d": "unknown"}


def test_of_two_that_are_as_frequent_the_worse_is_named(tmp_path: Path) -> None:
    reports = [report("a", rds_netns_delivery="affected"), report("b", rds_netns_delivery="ok")]
    (outlier,) = merge.merge(write(tmp_path, *reports)).outliers()
    assert outlier.others == {"a": "affected"}


def test_a_directory_stands_for_the_reports_in_it(tmp_path: Path) -> None:
    write(tmp_path, report("a"), report("b"))
    (tmp_path / "notes.txt").write_text("no report")
    assert [found.hostname for found in merge.merge([str(tmp_path)]).reports] == ["a", "b"]


def break_report(change: str) -> str:
    document = report("a")
    match change:
        case "truncated":
            return json.dumps(document)[:5000]
        case "another version":
            document["schema_version"] = 2
        case "another document":
            document["document"] = "audit-list"
        case "a name that is too long":
            document["host"]["hostname"] = "a" * 256
        case "a name that is no text":
            document["host"]["release"] = {"6": 1}
        case "a time that is none":
            document["host"]["time"] = "yesterday"
        case "a day that is none":
            document["host"]["time"] = "9999-99-99T99:99:99Z"
        case "a status that is none":
            document["results"][0]["status"] = "fine"
        case "a severity that is none":
            document["results"][0]["severity"] = "dire"
        case "an id that is none":
            document["results"][0]["id"] = "\x1b[31mred"
        case "an id that is too long":
            document["results"][0]["id"] = "a" * 65
        case "a check that is in it twice":
            document["results"].append(document["results"][0])
        case "no results":
            document["results"] = {}
        case "too many results":
            document["results"] *= 100
        case "a result that is none":
            document["results"] = ["ok"]
        case "nested too deep":
            return "[" * 100000
        case "no object":
            return "[]"
        case _:
            raise ValueError(change)
    return json.dumps(document)


@pytest.mark.parametrize(
    "change",
    [
        "truncated",
        "another version",
        "another document",
        "a name that is too long",
        "a name that is no text",
        "a time that is none",
        "a day that is none",
        "a status that is none",
        "a severity that is none",
        "an id that is none",
        "an id that is too long",
        "a check that is in it twice",
        "no results",
        "too many results",
        "a result that is none",
        "nested too deep",
        "no object",
    ],
)
def test_what_is_no_report_is_left_out(tmp_path: Path, change: str) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(break_report(change))
    with pytest.raises(FileError, match="not the output of 'kprobe-tool audit -o json'"):
        merge.load(str(bad))
    fleet = merge.merge([str(bad), *write(tmp_path, report("b"))])
    assert [found.hostname for found in fleet.reports] == ["b"]
    assert [error.subject for error in fleet.errors] == [str(bad)]


def count_calls(hosts: int) -> int:
    """How many functions, of Python and of C, finding the outliers of hosts with a kernel each calls."""
    reports = [merge.parse(report("a", release=f"6.1.{number}"), "a.json") for number in range(hosts)]
    fleet = merge.Fleet(tuple(reports), ())
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        fleet.outliers()
    finally:
        sys.setprofile(before)
    return calls


def test_every_host_has_a_kernel_of_its_own() -> None:
    assert count_calls(200) < 5 * count_calls(50)


def test_a_report_that_is_too_large_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_bytes(b" " * (merge.REPORT_MAX + 1))
    with pytest.raises(FileError, match="larger than 4 MiB"):
        merge.load(str(bad))
