# SPDX-License-Identifier: GPL-2.0-or-later
"""The page of what was tried: it is what the results and the text written by hand come to, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from . import page

REPORT = """<testsuites><testsuite>
<testcase classname="tests.harm.test_memory" name="test_a[as]">
  <properties><property name="runs" value="5"/></properties>
</testcase>
<testcase classname="tests.harm.test_memory" name="test_a[data]">
  <properties><property name="runs" value="3"/></properties>{failure}
</testcase>
<testcase classname="tests.harm.test_memory" name="test_b"><skipped/></testcase>
<testcase classname="tests.harm.test_runs" name="test_c"/>
<testcase time="0.000"/>
</testsuite></testsuites>"""
FUZZED = """\
btf: 10 of 12 inputs
btf: 12 inputs in 3 s: 7 accepted, 4 refused, 1 wrong, 1 slow
btf: 8 inputs in 2 s: 8 accepted, 0 refused, 0 wrong, 0 slow
"""


def test_the_page_is_made_of_the_results() -> None:
    """Who changes the page changes page.md, or runs what makes results.json."""
    results = json.loads(page.RESULTS.read_text(encoding="utf-8"))
    assert page.PAGE.read_text(encoding="utf-8") == page.render(results)


def test_a_repeated_test_counts_once(tmp_path: Path) -> None:
    first, second = tmp_path / "first.xml", tmp_path / "second.xml"
    first.write_text(REPORT.format(failure='<failure message="left: x&#10;more"/>'))
    second.write_text(REPORT.format(failure=""))
    found = page.read_parts([str(first)])
    assert found == {"test_memory": {"tests": 2, "runs": 8, "failed": [["test_a[data]", "left: x"]]}}
    assert list(page.failed_lines(found))[-2] == "| `test_a[data]` | left: x |"
    found = page.read_parts([str(first), str(second)])
    assert found == {"test_memory": {"tests": 2, "runs": 8, "failed": []}}
    assert list(page.part_lines(found))[-1].endswith(" | 2 | 8 | 0 |")
    assert not list(page.failed_lines(found))


def test_a_report_of_the_guests_leaves_what_the_host_has(tmp_path: Path) -> None:
    """And the other way round, and another report leaves what neither has to do with."""
    host, guests = tmp_path / "host.xml", tmp_path / "guests.xml"
    host.write_text(REPORT.format(failure='<failure message="left: x"/>'))
    guests.write_text(REPORT.format(failure="").replace("tests.harm.test_memory", "tests.kernels.guest.test_harm"))
    results = {"host": "of before", "harm": {}, "fuzz": {"btf": {}}}
    assert page.add_reports(results, [str(guests)])["host"] == "of before"
    both = page.add_reports(page.add_reports(results, [str(guests)]), [str(host)])
    assert both["harm"].keys() == {"test_memory", "test_harm"}
    assert both == page.add_reports(page.add_reports(results, [str(host)]), [str(guests)])
    assert both["host"] != "of before" and both["fuzz"] == results["fuzz"]
    assert both == page.add_reports(both, [])


def test_runs_of_a_fuzzed_target_are_added_up() -> None:
    lines = list(page.fuzz_lines(page.read_fuzzed(FUZZED)))
    assert lines[-2:] == ["| btf | 20 | 15 | 4 | 1 | 1 |", "| all | 20 | 15 | 4 | 1 | 1 |"]
