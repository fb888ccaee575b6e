# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/harm.md out of the reports of runs: python -m tests.harm.page REPORT.xml... > docs/harm.md.

The reports are pytest's (--junitxml -o junit_family=xunit1); one that repeats a test replaces what came before it.
"""

from __future__ import annotations

import os
import platform
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

PARTS = {
    "test_signals::test_to_the_end": "Run to the end, with the host compared before and after",
    "test_signals::test_signals": "SIGINT, SIGTERM and SIGKILL, each at 20 points of a run",
    "test_denials": "One system call refused, with EPERM and with ENOSYS, for each that the command makes",
    "test_environments": "Closed and full streams, limits, no /proc, no /sys, hidden processes, other roots, "
    "containers, users, hostile words",
    "test_memory": "Address space and data limited in small steps",
    "test_touches": "Traced, for calls that could change something and are not in the list",
    "test_privilege": "With the capabilities of SECURITY.md, and with one less",
}
HEAD = """\
# What was tried to do harm, and what came of it

Made by `make harm` and `python -m tests.harm.page`, on Linux {release}, {machine}, {cpus} CPUs. A run is one
start of the tool; it failed where it left something behind (processes, files, namespaces, mounts, BPF objects,
modules, network settings, sysctls, tracing), printed a traceback or died, ended with an exit status that says more
than it knows, or claimed what the undisturbed run does not. A test is a command in one
environment, into one signal or with one errno.

| Tried | Tests | Runs | Tests failed |
| --- | ---: | ---: | ---: |
"""
FAILED = """
## What failed

| Test | Why |
| --- | --- |
"""


@dataclass(frozen=True)
class TestResult:
    """One test: ``reason`` is None where it passed."""

    part: str
    name: str
    runs: int
    reason: str | None


def results(paths: Iterable[str]) -> Iterator[TestResult]:
    for path in paths:
        for case in ElementTree.parse(path).iter("testcase"):
            if case.find("skipped") is not None:
                continue
            module = case.attrib["classname"].rpartition(".")[2]
            name = case.attrib["name"]
            part = next((part for part in PARTS if part in {module, f"{module}::{name.partition('[')[0]}"}), None)
            if part is None:
                continue
            failure = next((found for kind in ("failure", "error") if (found := case.find(kind)) is not None), None)
            runs = sum(int(each.attrib["value"]) for each in case.iter("property") if each.attrib["name"] == "runs")
            reason = None if failure is None else failure.attrib.get("message", "").splitlines()[0][:200]
            yield TestResult(part, name, runs, reason)


def lines(paths: Sequence[str]) -> Iterator[str]:
    last = {(each.part, each.name): each for each in results(paths)}
    by_part: dict[str, list[TestResult]] = defaultdict(list)
    for each in last.values():
        by_part[each.part].append(each)
    yield HEAD.format(release=platform.release().partition("-")[0], machine=platform.machine(), cpus=os.cpu_count())
    for part, title in PARTS.items():
        if found := by_part[part]:
            failed = sum(each.reason is not None for each in found)
            yield f"| {title} | {len(found):,} | {sum(each.runs for each in found):,} | {failed} |\n"
    wrong = sorted((each.name, each.reason) for each in last.values() if each.reason is not None)
    if wrong:
        yield FAILED
        yield from (f"| `{name}` | {reason} |\n".replace("\u001b", "") for name, reason in wrong)


if __name__ == "__main__":
    sys.stdout.writelines(lines(sys.argv[1:]))
