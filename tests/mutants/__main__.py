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
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

import pytest

from .mutate import Mutant, enums, mutants

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
)
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
PRELOADED = ("click", "hypothesis", "jsonschema")
"""What most tests import, and none of ours: loaded once, not once for each change."""

ARGUMENTS = ("-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
"""The warning is about what is preloaded."""

SLOWEST = 10.0
"""Seconds that a run may take at least, before it counts as hung."""

Key = tuple[str, str, str]
"""File below src/kprobe_tool, its line without the indentation, the change."""


@dataclass(frozen=True)
class Run:
    """A mutant whose tests run in process ``pid`` since ``start``."""

    mutant: Mutant
    pid: int
    start: float


@dataclass(frozen=True)
class Tally:
    """What became of the changes of one file."""

    path: Path
    total: int
    survivors: tuple[Mutant, ...]
    equivalent: int
    stale: tuple[Key, ...]

    @property
    def counted(self) -> int:
        return self.total - self.equivalent

    @property
    def percent(self) -> float:
        return 100 * (self.counted - len(self.survivors)) / self.counted if self.counted else 100


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, help="files or folders; all judging modules without")
    parser.add_argument("--changed", action="store_true", help="only judging modules that differ from main")
    parser.add_argument("--tests", action="append", type=Path, default=[], help="tests to run instead")
    parser.add_argument("--jobs", "-j", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--at-least", type=float, default=95, metavar="PERCENT")
    options = parser.parse_args(argv)
    modules = judging() if options.changed or not options.paths else list(files(options.paths))
    if options.changed:
        modules = [path for path in modules if path in changed()]
    for name in PRELOADED:
        import_module(name)
    found = enums([path.read_text() for path in SOURCES.rglob("*.py")])
    tallies = []
    for path in modules:
        tally = examine(path, options.tests or mirrored(path), found, options.jobs)
        report(tally)
        tallies.append(tally)
    total, alive = sum(tally.counted for tally in tallies), sum(len(tally.survivors) for tally in tallies)
    print(f"noticed: {total - alive} of {total}")
    bad = [tally for tally in tallies if tally.percent < options.at_least or tally.stale]
    return 1 if bad else 0


def judging() -> list[Path]:
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


def changed() -> set[Path]:
    """What differs from main, in the work tree."""
    done = subprocess.run(
        ["git", "diff", "--name-only", "--merge-base", "main"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return {ROOT / line for line in done.stdout.splitlines()}


def mirrored(path: Path) -> list[Path]:
    """The unit tests of a module."""
    inside = path.relative_to(SOURCES)
    folder = ROOT / "tests" / "unit" / inside.parent
    own = folder / f"test_{inside.stem}.py"
    of_folder = folder.with_name(f"test_{folder.name}.py")
    for tests in (own, folder, of_folder):
        if tests.exists():
            return [tests]
    raise SystemExit(f"{inside}: none of {own}, {folder}, {of_folder} is there; --tests names them")


def examine(path: Path, tests: Sequence[Path], known_enums: dict[str, tuple[str, ...]], jobs: int) -> Tally:
    """Run the tests on each change of one file."""
    source = path.read_text()
    start = time.monotonic()
    code = wait(fork(path, None, tests), None)
    if code != 0:
        raise SystemExit(f"{path}: its tests fail as it is (pytest exits with {code}): {' '.join(map(str, tests))}")
    limit = max(SLOWEST, 5 * jobs * (time.monotonic() - start))
    excused = equivalents(path)
    lines = source.splitlines()
    survivors: list[Mutant] = []
    seen: set[Key] = set()
    total = equivalent = 0
    running: list[Run] = []

    def finish(run: Run) -> None:
        nonlocal equivalent
        if wait(run.pid, run.start + limit) != 0:
            return
        key = key_of(path, lines, run.mutant)
        if key in excused:
            seen.add(key)
            equivalent += 1
        else:
            survivors.append(run.mutant)
            tell(path, lines, run.mutant)

    for mutant in mutants(source, known_enums):
        total += 1
        if len(running) == jobs:
            finish(running.pop(0))
        running.append(Run(mutant, fork(path, mutant, tests), time.monotonic()))
        progress(path, total)
    for run in running:
        finish(run)
    return Tally(path, total, tuple(survivors), equivalent, tuple(sorted(excused - seen)))


def fork(path: Path, mutant: Mutant | None, tests: Sequence[Path]) -> int:
    """A process that runs the tests with the changed module in place, and exits as pytest does."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 3
    try:
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        sys.dont_write_bytecode = True
        if mutant is not None:
            load_instead(path, compile(mutant.module, str(path), "exec"))
        code = pytest.main([*ARGUMENTS, *map(str, tests)])
    finally:
        os._exit(code)


def load_instead(path: Path, code: CodeType) -> None:
    """Importing ``path`` gives ``code``."""
    get_code = SourceFileLoader.get_code

    def changed_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
        return code if Path(self.path).resolve() == path else get_code(self, fullname)

    pytest.MonkeyPatch().setattr(SourceFileLoader, "get_code", changed_code)


def wait(pid: int, until: float | None) -> int:
    """The exit code of a process; it is killed where it is not over by ``until``. Raises SystemExit for no tests."""
    while True:
        done, status = os.waitpid(pid, 0 if until is None else os.WNOHANG)
        if done:
            break
        if until is not None and time.monotonic() > until:
            os.killpg(pid, signal.SIGKILL)
            until = None
        time.sleep(0.02)
    code = os.waitstatus_to_exitcode(status)
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise SystemExit("no tests were collected")
    return code


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


def tell(path: Path, lines: Sequence[str], mutant: Mutant) -> None:
    """One survivor, as soon as it is known."""
    place = f"{path.relative_to(ROOT)}:{mutant.line}:{mutant.column + 1}"
    print(f"{place}: {mutant.change}: {lines[mutant.line - 1].strip()}", flush=True)


def report(tally: Tally) -> None:
    """The figures of a file."""
    name = tally.path.relative_to(ROOT)
    for _, line, change in tally.stale:
        print(f"{name}: no such survivor, remove it from {EQUIVALENT.name}: {change}: {line}")
    kept = f", {tally.equivalent} make no difference" if tally.equivalent else ""
    print(f"{name}: {tally.counted - len(tally.survivors)} of {tally.counted} noticed, {tally.percent:.0f} %{kept}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
