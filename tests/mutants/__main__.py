# SPDX-License-Identifier: GPL-2.0-or-later
"""Would a test notice? Changes the judging code, one expression at a time, and runs its unit tests each time.

    python -m tests.mutants                             all modules of JUDGING
    python -m tests.mutants src/kprobe_tool/probes/rds  one file or folder
    python -m tests.mutants --changed                   what differs from main, of the judging modules

For src/kprobe_tool/A/B.py the tests are tests/unit/A/test_B.py; where there is no such file, all of tests/unit/A, or
else tests/unit/test_A.py; ``--tests`` names others. Each change runs in a process of its own, which loads the changed
module in place of the one on disk: nothing is written. A change that no test notices is printed with its place; one
that makes no difference to any caller belongs into equivalent.toml, with the reason. Exits with 1 where less than
``--at-least`` percent of a file's changes are noticed, those that make no difference aside.

What is changed: comparisons, and/or, not, conditions, arithmetic and bit operators, True and False, numbers by one,
members of enumerations, min/max, any/all; in functions only, since the rest is data.
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from .mutate import Mutant, find_enums, mutants
from .runner import NOTICED, UNREACHED, outcomes

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "kprobe_tool"
JUDGING = (
    "checks/model.py",
    "commands/findings.py",
    "probes/*/checks.py",
    "probes/*/judge.py",
    "probes/extensible_structs/compare.py",
    "probes/extensible_structs/recipe.py",
    "probes/extensible_structs/syscalls/*.py",
    "probes/nvme/needs.py",
    "probes/nvme/request.py",
    "probes/nvme/split.py",
    "probes/nvme/types.py",
    "probes/rds/entries.py",
    "probes/rds/lists.py",
    "probes/rds/presence.py",
)
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
PRELOADED = ("click", "hypothesis", "jsonschema")
"""What most tests import, and none of ours: loaded once, not once for each change."""

Key = tuple[str, str, str]
"""File below src/kprobe_tool, its line without the indentation, the change."""


@dataclass(frozen=True)
class Tally:
    """What became of the changes of one file."""

    path: Path
    total: int
    survivors: tuple[Mutant, ...]
    unreached: tuple[Mutant, ...]
    equivalent: int
    stale: tuple[Key, ...]

    @property
    def counted(self) -> int:
        return self.total - self.equivalent

    @property
    def noticed(self) -> int:
        return self.counted - len(self.survivors) - len(self.unreached)

    @property
    def percent(self) -> float:
        return 100 * self.noticed / self.counted if self.counted else 100


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, help="files or folders; all judging modules without")
    parser.add_argument("--changed", action="store_true", help="only judging modules that differ from main")
    parser.add_argument("--tests", action="append", type=Path, default=[], help="tests to run instead")
    parser.add_argument("--jobs", "-j", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--at-least", type=float, default=95, metavar="PERCENT")
    options = parser.parse_args(argv)
    modules = judging_modules() if options.changed or not options.paths else list(files(options.paths))
    if options.changed:
        modules = [path for path in modules if path in changed_files()]
    for name in PRELOADED:
        import_module(name)
    found = find_enums([path.read_text() for path in SOURCES.rglob("*.py")])
    tallies = []
    for path in modules:
        tally = examine(path, options.tests or tests_of(path), found, options.jobs)
        report(tally)
        tallies.append(tally)
    print(f"noticed: {sum(tally.noticed for tally in tallies)} of {sum(tally.counted for tally in tallies)}")
    bad = [tally for tally in tallies if tally.percent < options.at_least or tally.stale]
    return 1 if bad else 0


def judging_modules() -> list[Path]:
    """The modules whose mistakes are wrong verdicts."""
    return sorted(path for pattern in JUDGING for path in SOURCES.glob(pattern) if has_functions(path))


def has_functions(path: Path) -> bool:
    return any(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(path.read_text())))


def files(paths: Sequence[Path]) -> Iterator[Path]:
    """Files as named, and those in named folders."""
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.resolve().rglob("*.py") if has_functions(file))
        else:
            yield path.resolve(strict=True)


def changed_files() -> set[Path]:
    """What differs from main, in the work tree."""
    done = subprocess.run(
        ["git", "diff", "--name-only", "--merge-base", "main"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return {ROOT / line for line in done.stdout.splitlines()}


def tests_of(path: Path) -> list[Path]:
    """The unit tests of a module: its own file and that of its folder, or else all of the folder; of a probe those of
    its system, of what commands share all of theirs. What does not reach it is not run."""
    inside = path.relative_to(SOURCES)
    if inside.parts[0] == "probes":
        return [ROOT.joinpath("tests", "unit", *inside.parts[:2])]
    folder = ROOT / "tests" / "unit" / inside.parent
    if inside.parent == Path("commands"):
        return [folder]
    own = folder / f"test_{inside.stem}.py"
    of_folder = folder.with_name(f"test_{folder.name}.py")
    named = [tests for tests in (own, of_folder) if tests.exists()]
    if named or folder.exists():
        return named or [folder]
    raise SystemExit(f"{inside}: none of {own}, {folder}, {of_folder} is there; --tests names them")


def examine(path: Path, tests: Sequence[Path], known_enums: dict[str, tuple[str, ...]], jobs: int) -> Tally:
    """Run the tests on each change of one file."""
    source = path.read_text()
    excused = equivalents(path)
    lines = source.splitlines()
    found = list(mutants(source, known_enums))
    survivors: list[Mutant] = []
    unreached: list[Mutant] = []
    seen: set[Key] = set()
    equivalent = 0
    for number, outcome in outcomes(path, found, tests, jobs):
        progress(path, number)
        if outcome == NOTICED:
            continue
        mutant = found[number]
        key = key_of(path, lines, mutant)
        if key in excused:
            seen.add(key)
            equivalent += 1
        else:
            (unreached if outcome == UNREACHED else survivors).append(mutant)
            print_mutant(path, lines, mutant, outcome)
    return Tally(path, len(found), tuple(survivors), tuple(unreached), equivalent, tuple(sorted(excused - seen)))


def equivalents(path: Path) -> set[Key]:
    """The changes of a file that make no difference, by equivalent.toml."""
    rows = tomllib.loads(EQUIVALENT.read_text()).get("equivalent", [])
    keys = {(row["file"], row["line"], row["change"]) for row in rows if row["why"]}
    return {key for key in keys if SOURCES / key[0] == path}


def key_of(path: Path, lines: Sequence[str], mutant: Mutant) -> Key:
    return str(path.relative_to(SOURCES)), lines[mutant.line - 1].strip(), mutant.change


def progress(path: Path, number: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{path.relative_to(SOURCES)}: {number}\033[K", end="\r", file=sys.stderr)


def print_mutant(path: Path, lines: Sequence[str], mutant: Mutant, outcome: str) -> None:
    """One change that no test noticed, as soon as it is known."""
    place = f"{path.relative_to(ROOT)}:{mutant.line}:{mutant.column + 1}"
    print(f"{place}: {outcome}: {mutant.change}: {lines[mutant.line - 1].strip()}", flush=True)


def report(tally: Tally) -> None:
    """The figures of a file."""
    name = tally.path.relative_to(ROOT)
    for _, line, change in tally.stale:
        print(f"{name}: no such survivor, remove it from {EQUIVALENT.name}: {change}: {line}")
    others = [f"{len(tally.unreached)} not reached by a test"] if tally.unreached else []
    others += [f"{tally.equivalent} make no difference"] if tally.equivalent else []
    print(", ".join([f"{name}: {tally.noticed} of {tally.counted} noticed, {tally.percent:.0f} %", *others]))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
