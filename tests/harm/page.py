# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/harm.md out of page.md, which is written by hand, and results.json, what was found last of each kind:

python -m tests.harm.page [REPORT.xml...] [--load FILE...] [--sockets FILE...] [--fuzz FILE...]

What is given replaces what results.json has of that kind; of reports, each part of PARTS that is in them: host and
guests may report one by one. The reports are pytest's (--junitxml -o junit_family=xunit1); one that repeats a test
replaces what came before it. --load and --fuzz are what ``python -m tests.load`` and ``python -m tests.fuzz`` print,
--sockets the output of pytest for tests/kernels/guest/test_load.py.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any
from xml.etree import ElementTree

IN_GUESTS = "test_harm"
PARTS = {
    "test_signals::test_a_run_to_the_end_changes_nothing": "Run to the end, with the host compared before and after",
    "test_signals::test_a_signal_changes_nothing": "SIGINT, SIGTERM and SIGKILL at points spread over a run",
    "test_denials": "One system call refused, with EPERM and with ENOSYS, for each that the command makes",
    "test_environments": "Closed and full streams, limits, no /proc, no /sys, hidden processes, other roots, "
    "containers, users, hostile words",
    "test_memory": "Address space and data limited in small steps",
    "test_touches": "Traced, for calls that could change something and are not in the list",
    "test_privilege": "With the capabilities of SECURITY.md, and with one less",
    IN_GUESTS: "In booted kernels with RDS, TLS and NVMe: to the end, into signals, and with few capabilities",
}
TEMPLATE = Path(__file__).with_name("page.md")
RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[2] / "docs/harm.md"

TARGET = re.compile(
    r"^(?P<name>\S+): (\d+) inputs in \d+ s: (?P<accepted>\d+) accepted, (?P<refused>\d+) refused, "
    r"(?P<wrong>\d+) wrong, (?P<slow>\d+) slow$",
    re.MULTILINE,
)
BECAME = ("accepted", "refused", "wrong", "slow")
CROWD = re.compile(r"^\S.* RDS sockets, .*$", re.MULTILINE)


@dataclass(frozen=True)
class TestResult:
    """One test: ``reason`` is None where it passed."""

    part: str
    name: str
    runs: int
    reason: str | None


def read_results(paths: Iterable[str]) -> Iterator[TestResult]:
    for path in paths:
        for case in ElementTree.parse(path).iter("testcase"):
            if case.find("skipped") is not None:
                continue
            # A run that was interrupted ends with a test case without a name.
            module = case.get("classname", "").rpartition(".")[2]
            name = case.get("name", "")
            part = next((part for part in PARTS if part in {module, f"{module}::{name.partition('[')[0]}"}), None)
            if part is None:
                continue
            failure = next((found for kind in ("failure", "error") if (found := case.find(kind)) is not None), None)
            runs = sum(int(each.attrib["value"]) for each in case.iter("property") if each.attrib["name"] == "runs")
            reason = None if failure is None else failure.attrib.get("message", "").splitlines()[0][:200]
            yield TestResult(part, name, runs, reason)


def read_parts(paths: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Of each part that is there the numbers of tests and runs, and the failed tests, each with why."""
    last = {(each.part, each.name): each for each in read_results(paths)}
    parts: dict[str, dict[str, Any]] = {}
    for each in sorted(last.values(), key=lambda each: (each.part, each.name)):
        part = parts.setdefault(each.part, {"tests": 0, "runs": 0, "failed": []})
        part["tests"] += 1
        part["runs"] += each.runs
        if each.reason is not None:
            part["failed"].append([each.name, each.reason])
    return parts


def add_reports(results: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """The results with the parts that are in these reports, and with this host where parts of it are."""
    parts = read_parts(paths)
    release = platform.release().partition("-")[0]
    here = f"Linux {release}, {platform.machine()}, {os.cpu_count()} CPUs"
    host = here if parts.keys() - {IN_GUESTS} else results["host"]
    return {**results, "host": host, "harm": {**results["harm"], **parts}}


def read_texts(paths: Iterable[str]) -> str:
    return "".join(Path(path).read_text(encoding="utf-8") for path in paths)


def read_fuzzed(text: str) -> dict[str, Counter[str]]:
    """By target, what became of its inputs."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for found in TARGET.finditer(text):
        counts[found["name"]].update({word: int(found[word]) for word in BECAME})
    return counts


def part_lines(parts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| Tried | Tests | Runs | Tests failed |"
    yield "| --- | ---: | ---: | ---: |"
    for name, title in PARTS.items():
        if part := parts.get(name):
            # Reports of before runs were counted everywhere have none.
            runs = f"{part['runs']:,}" if part["runs"] else ""
            yield f"| {title} | {part['tests']:,} | {runs} | {len(part['failed']):,} |"


def failed_lines(parts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    failed = [each for name in PARTS if name in parts for each in parts[name]["failed"]]
    if failed:
        yield "\n## What failed\n"
        yield "| Test | Why |"
        yield "| --- | --- |"
        yield from (f"| `{name}` | {reason} |".replace("\x1b", "") for name, reason in failed)
        yield ""


def fuzz_lines(counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """A row for each target, and one for all of them."""
    yield "| Target | Inputs | Accepted | Refused | Wrong | Slow |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    together: Counter[str] = sum(map(Counter, counts.values()), Counter())
    for name, count in [*sorted(counts.items()), ("all", together)]:
        # What is slow has been counted by its answer as well.
        numbers = (sum(count[word] for word in BECAME[:3]), *(count[word] for word in BECAME))
        yield f"| {name} | " + " | ".join(f"{number:,}" for number in numbers) + " |"


def render(results: Mapping[str, Any]) -> str:
    """The page of these results."""
    crowds = ["| Beside | Command | Took | Processor | Memory of one process | Exit status |"]
    crowds += ["| --- | --- | ---: | ---: | ---: | ---: |", *results["load"]]
    lines = {
        "tried": part_lines(results["harm"]),
        "failed": failed_lines(results["harm"]),
        "crowds": crowds,
        "sockets": (f"- {line}" for line in results["sockets"]),
        "fuzzed": fuzz_lines(results["fuzz"]),
    }
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(host=results["host"], **{name: "\n".join(each) for name, each in lines.items()})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.harm.page", description=__doc__)
    parser.add_argument("reports", nargs="*")
    for name in ("--load", "--sockets", "--fuzz"):
        parser.add_argument(name, nargs="*", default=[], metavar="FILE")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    results = add_reports(results, options.reports)
    if options.load:
        results["load"] = [line for line in read_texts(options.load).splitlines() if line.startswith("| ")]
    if options.sockets:
        results["sockets"] = CROWD.findall(read_texts(options.sockets))
    if options.fuzz:
        results["fuzz"] = read_fuzzed(read_texts(options.fuzz))
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(render(results), encoding="utf-8")


if __name__ == "__main__":
    main()
