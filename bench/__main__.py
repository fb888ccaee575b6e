# SPDX-License-Identifier: GPL-2.0-or-later
"""python -m bench [NAME...]: measure, and write bench/RESULTS.md (all cases) or print the page (some)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from kprobe_tool.errors import Error

from .cases import CASES
from .figures import Measurements
from .guests import measurements
from .measure import dump, measure, progress
from .model import Case, Place
from .results import Result, page

RESULTS = Path(__file__).parent / "RESULTS.md"


def about() -> list[str]:
    """The machine and the day. The load says how much of it was others'."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        "unknown",
    )
    host = os.uname()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return [
        f"{datetime.now(UTC):%Y-%m-%d}, Linux {host.release} ({host.machine}), {os.cpu_count()} CPUs, {cpu}, "
        f"Python {sys.version.split()[0]}",
        f"Load of the machine while this was measured: {load} (1, 5, 15 minutes, at the end). "
        "Above 1, others were using it: read the CPU times, not the wall times",
        "CPU and wall are medians of the runs, each contender in turn in the same rounds; CPU is user and system "
        "time of the process and its children (wait4(2)); MB is the largest resident set of any run",
    ]


def results_of(cases: Sequence[Case], *, smoke: bool) -> list[Result]:
    """All cases, those of one guest in one boot."""
    found: dict[str, Result] = {}
    for place in Place:
        here = [case for case in cases if case.place is place]
        if not here:
            continue
        if place is Place.HERE:
            for case in here:
                found[case.name] = Result(case, os.uname().release, measured(case, smoke=smoke))
            continue
        trouble = "nothing came back"
        try:
            progress(f"{', '.join(case.name for case in here)}: {place.value}")
            for release, name, seen in measurements(place, here, ["--smoke"] if smoke else []):
                found[name] = Result(next(case for case in here if case.name == name), release, seen)
        except (Error, OSError) as error:
            trouble = str(error)
        for case in here:
            found.setdefault(case.name, Result(case, "", Measurements(), trouble))
    return [found[case.name] for case in cases]


def measured(case: Case, *, smoke: bool) -> Measurements:
    sizes = case.sizes[:1] if smoke else case.sizes
    return measure(case, 1 if smoke else case.rounds, sizes, progress)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="What kprobe-tool costs, side by side.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases (default: all, into bench/RESULTS.md)")
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument("--smoke", action="store_true", help="one round of the smallest size, only printed")
    parser.add_argument("--measure", action="store_true", help="print measurements instead of a page (for guests)")
    args = parser.parse_args()
    if unknown := set(args.names) - {case.name for case in CASES}:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    cases = [case for case in CASES if not args.names or case.name in args.names]
    if args.list:
        for case in cases:
            sys.stdout.write(f"{case.row:>2} {case.name:20} {case.work} ({case.place.value})\n")
    elif args.measure:
        print(f"release {os.uname().release}", flush=True)
        for case in cases:
            print(dump(case.name, measured(case, smoke=args.smoke)), flush=True)
    else:
        text = page(results_of(cases, smoke=args.smoke), about())
        if args.names or args.smoke:
            sys.stdout.write(text)
        else:
            RESULTS.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
