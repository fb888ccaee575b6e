# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/harm.md out of the reports of runs: python -m tests.harm.page REPORT.xml... > docs/harm.md.

The reports are pytest's (--junitxml -o junit_family=xunit1); one that repeats a test replaces what came before it.
--load and --fuzz are what ``python -m tests.load`` and ``python -m tests.fuzz`` print, --sockets the output of pytest
for tests/kernels/guest/test_load.py.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

PARTS = {
    "test_signals::test_a_run_to_the_end_changes_nothing": "Run to the end, with the host compared before and after",
    "test_signals::test_a_signal_changes_nothing": "SIGINT, SIGTERM and SIGKILL at points spread over a run",
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

LOADED = """
## Beside crowds

An audit, and what else looks at all of them, beside what `make load` makes.

| Beside | Command | Took | Processor | Memory of one process | Exit status |
| --- | --- | ---: | ---: | ---: | ---: |
"""
FUZZED = """
## Fuzzed

Mutated inputs by `make fuzz`, without coverage. Wrong is an exception that a parser may not raise, or a character
that a terminal would obey; slow is more than 5 s of the processor.

| Target | Inputs | Accepted | Refused | Wrong | Slow |
| --- | ---: | ---: | ---: | ---: | ---: |
"""
TARGET = re.compile(
    r"^(?P<name>\S+): (\d+) inputs in \d+ s: (?P<accepted>\d+) accepted, (?P<refused>\d+) refused, "
    r"(?P<wrong>\d+) wrong, (?P<slow>\d+) slow$",
    re.MULTILINE,
)
CROWD = re.compile(r"^\S.* RDS sockets: .*$", re.MULTILINE)


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
            module = case.attrib["classname"].rpartition(".")[2]
            name = case.attrib["name"]
            part = next((part for part in PARTS if part in {module, f"{module}::{name.partition('[')[0]}"}), None)
            if part is None:
                continue
            failure = next((found for kind in ("failure", "error") if (found := case.find(kind)) is not None), None)
            runs = sum(int(each.attrib["value"]) for each in case.iter("property") if each.attrib["name"] == "runs")
            reason = None if failure is None else failure.attrib.get("message", "").splitlines()[0][:200]
            yield TestResult(part, name, runs, reason)


def part_lines(paths: Sequence[str]) -> Iterator[str]:
    last = {(each.part, each.name): each for each in read_results(paths)}
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


def read_texts(paths: Iterable[str]) -> str:
    return "".join(Path(path).read_text(encoding="utf-8") for path in paths)


def crowd_lines(loads: Sequence[str], sockets: Sequence[str]) -> Iterator[str]:
    """The rows of runs beside crowds, and the lines of those in guests."""
    if loads:
        yield LOADED
        yield from (f"{line}\n" for line in read_texts(loads).splitlines() if line.startswith("| "))
    if found := CROWD.findall(read_texts(sockets)):
        yield "\nIn guests, in software emulation:\n\n"
        yield from (f"- {line}\n" for line in found)


def fuzz_lines(paths: Sequence[str]) -> Iterator[str]:
    """A row for each target, the sum of its runs, and a row for all of them."""
    words = ("accepted", "refused", "wrong", "slow")
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for found in TARGET.finditer(read_texts(paths)):
        counts[found["name"]].update({word: int(found[word]) for word in words})
    if counts:
        yield FUZZED
        together: Counter[str] = sum(counts.values(), Counter())
        for name, count in [*sorted(counts.items()), ("all", together)]:
            # What is slow has been counted by its answer as well.
            inputs = sum(count[word] for word in words[:3])
            yield f"| {name} | {inputs:,} | " + " | ".join(f"{count[word]:,}" for word in words) + " |\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.harm.page", description=__doc__)
    parser.add_argument("reports", nargs="*")
    for name in ("--load", "--sockets", "--fuzz"):
        parser.add_argument(name, nargs="*", default=[], metavar="FILE")
    options = parser.parse_args()
    for part in (part_lines(options.reports), crowd_lines(options.load, options.sockets), fuzz_lines(options.fuzz)):
        sys.stdout.writelines(part)


if __name__ == "__main__":
    main()
