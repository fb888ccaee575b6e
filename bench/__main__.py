# SPDX-License-Identifier: GPL-2.0-or-later
"""python -m bench [NAME...]: measure, and write bench/RESULTS.md (all cases) or print the page (some)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from kprobe_tool.errors import Error

from .cases import CASES
from .figures import Measurements
from .guests import measurements
from .measure import dump, measure, progress
from .model import Case, Place
from .results import Result, page

RESULTS = Path(__file__).parent / "RESULTS.md"
LIBRARIES = ("click", "tabulate", "pyroute2")


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
        f"Python {sys.version.split()[0]}, {', '.join(f'{name} {version(name)}' for name in LIBRARIES)}",
        f"Load of the machine while this was measured: {load} (1, 5, 15 minutes, at the end). "
        "Above 1, others were using it: read the CPU times, not the wall times",
        "CPU and wall are medians of the runs, each contender in turn in the same rounds; CPU is user and system "
        "time of the process and its children (wait4(2)); MB is the largest resident set of any run",
    ]


def measure_all(cases: Sequence[Case], rounds: int | None, *, smoke: bool) -> Iterator[Result]:
    """Each case when it has been measured: those of guests first, all of one kind in one boot."""
    for place in (Place.UML, Place.HERE, Place.LAB):
        here = {case.name: case for case in cases if case.place is place}
        if place is Place.HERE:
            for case in here.values():
                yield Result(case, os.uname().release, measured(case, rounds, smoke=smoke))
        elif here:
            options = ["--smoke"] if smoke else []
            options += [] if rounds is None else ["--rounds", str(rounds)]
            yield from measure_in_guest(place, here, options)


def measure_in_guest(place: Place, cases: dict[str, Case], options: Sequence[str]) -> Iterator[Result]:
    progress(f"{', '.join(cases)}: {place.value}")
    left = dict(cases)
    trouble = "nothing came back"
    try:
        for release, name, seen in measurements(place, list(cases.values()), options):
            yield Result(left.pop(name), release, seen)
    except (Error, OSError) as error:
        trouble = str(error)
    for case in left.values():
        yield Result(case, "", Measurements(), trouble)


def measured(case: Case, rounds: int | None, *, smoke: bool) -> Measurements:
    sizes = case.sizes[:1] if smoke else case.sizes
    return measure(case, 1 if smoke else min(case.rounds, rounds or case.rounds), sizes, progress)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="What kprobe-tool costs, side by side.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases (default: all, into bench/RESULTS.md)")
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument("--smoke", action="store_true", help="one round of the smallest size, only printed")
    parser.add_argument("--rounds", type=int, metavar="N", help="so many rounds at most, where time is short")
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
            print(dump(case.name, measured(case, args.rounds, smoke=args.smoke)), flush=True)
    else:
        found = {case.name: Result(case, "", Measurements(), "the run ended before") for case in cases}
        for result in measure_all(cases, args.rounds, smoke=args.smoke):
            found[result.case.name] = result
            # It takes long, and what there is can be read meanwhile, or kept.
            if not args.names and not args.smoke:
                RESULTS.write_text(page(list(found.values()), about()), encoding="utf-8")
        if args.names or args.smoke:
            sys.stdout.write(page(list(found.values()), about()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
