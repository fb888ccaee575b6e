# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the tests of one module on each change of it.

The tests are collected once; each change is made in a fork of that process, by giving the module's functions the
changed code. Only the tests that execute the changed line are run, the quick ones first, up to the first failure.
What is executed while modules are imported cannot be changed afterwards: there the changed module is loaded in place
of the one on disk, by a process that has not imported it.
"""

from __future__ import annotations

import ast
import gc
import json
import mmap
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest

from .mutate import Mutant

ARGUMENTS = ("-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
"""The warning is about modules that are there before pytest is."""

MEMORY = 2 << 30
"""Bytes of address space that a changed module may take: one whose loop never ends took 11 GB."""

SLOWEST = 10
"""Seconds that a run may take at least, before it counts as hung."""

IMPORTED = "imported"
"""In place of a test's name: what ran while the tests were collected."""

OTHER_FUNCTIONS = 4
"""Exit code where a change cannot be made in place."""

NOTICED, SURVIVED, UNREACHED = "noticed", "survived", "unreached"


@dataclass(frozen=True)
class Run:
    """A change whose tests run in process ``pid``; it counts as hung from ``until`` on."""

    number: int
    pid: int
    until: float


@dataclass(frozen=True)
class Visit:
    """What one test, by its index, executes of the module."""

    item: int
    seconds: float
    lines: frozenset[int]


def seconds_of(visit: Visit) -> float:
    return visit.seconds


def outcomes(path: Path, found: Sequence[Mutant], tests: Sequence[Path], jobs: int) -> Iterator[tuple[int, str]]:
    """What became of each change, by its number. Raises SystemExit where the tests fail as it is, or are none."""
    reading, writing = os.pipe()
    pid = fork_silently(lambda: collect_and_run(path, found, tests, jobs, writing))
    os.close(writing)
    again = []
    with os.fdopen(reading, encoding="ascii") as lines:
        for line in lines:
            number, outcome = line.split()
            if outcome == IMPORTED:
                again.append(int(number))
            else:
                yield int(number), outcome
    code = wait(pid, None)
    if code != 0:
        raise SystemExit(f"{path}: its tests fail as it is (pytest exits with {code}): {' '.join(map(str, tests))}")
    for each in again:
        pid = fork_silently(partial(run_changed, path, found[each], tests))
        yield each, outcome_of(wait(pid, time.monotonic() + 6 * SLOWEST))


def fork_silently(function: Callable[[], int]) -> int:
    """The process in which ``function`` gives the exit code. It is silent, and the leader of its group."""
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
        code = function()
    finally:
        os._exit(code)


def wait(pid: int, until: float | None) -> int:
    """The exit code of a process; its group is killed where it is not over by ``until``."""
    while True:
        done, status = os.waitpid(pid, 0 if until is None else os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if until is not None and time.monotonic() > until:
            os.killpg(pid, signal.SIGKILL)
            until = None
        time.sleep(0.005)


def outcome_of(code: int) -> str:
    return SURVIVED if code == 0 else NOTICED


def limit_resources(seconds: int) -> None:
    """Neither memory nor time without end for this process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def run_changed(path: Path, changed: Mutant, tests: Sequence[Path]) -> int:
    """The tests with the changed module in place, which this process has not imported yet."""
    limit_resources(6 * SLOWEST)
    import_instead(path, compile(changed.module, str(path), "exec"))
    return pytest.main([*ARGUMENTS, *map(str, tests)])


def import_instead(path: Path, code: CodeType) -> None:
    """Importing ``path`` gives ``code`` from now on."""
    get_code = SourceFileLoader.get_code

    def changed_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
        return code if Path(self.path).resolve() == path else get_code(self, fullname)

    pytest.MonkeyPatch().setattr(SourceFileLoader, "get_code", changed_code)


def collect_and_run(path: Path, found: Sequence[Mutant], tests: Sequence[Path], jobs: int, writing: int) -> int:
    """Collect the tests, see which of them execute what, and run them on each change."""
    trace = Trace(path)
    trace.start()
    return pytest.main([*ARGUMENTS, *map(str, tests)], plugins=[Plugin(path, found, jobs, writing, trace)])


class Trace:
    """Which lines of functions of one file are executed, in this process and in what it forks."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.hit = mmap.mmap(-1, path.read_bytes().count(b"\n") + 2)

    def start(self) -> None:
        sys.settrace(self.enter)
        threading.settrace(self.enter)

    def stop(self) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def enter(self, frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        if code.co_filename != self.name or code.co_name == "<module>":
            return None
        self.hit[code.co_firstlineno] = 1
        return self.line

    def line(self, frame: FrameType, event: str, argument: object) -> Any:
        self.hit[frame.f_lineno] = 1
        return self.line

    def take(self) -> set[int]:
        """The lines that were executed since it was asked last."""
        lines = {number for number, byte in enumerate(self.hit[:]) if byte}
        self.hit[:] = bytes(len(self.hit))
        return lines


class Plugin:
    """In place of pytest's own loop over the tests: one fork for each change, which runs what executes its line."""

    def __init__(self, path: Path, found: Sequence[Mutant], jobs: int, writing: int, trace: Trace) -> None:
        self.path, self.found, self.jobs, self.writing, self.trace = path, found, jobs, writing, trace
        source = path.read_text(encoding="utf-8")
        self.statements = statements(source)
        self.heads = head_lines(source)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        imported = self.trace.take()
        self.trace.stop()
        visits = self.baseline(session)
        if len(visits) < len(session.items):
            session.testsfailed = 1
            return True
        functions = functions_of(self.path)
        # What is here is not looked at again by each fork.
        gc.collect()
        gc.freeze()
        running: list[Run] = []
        for number, mutant in enumerate(self.found):
            lines = self.statements[mutant.line]
            chosen = sorted((visit for visit in visits if not lines.isdisjoint(visit.lines)), key=seconds_of)
            if not lines.isdisjoint(imported) or mutant.line in self.heads:
                self.tell(number, IMPORTED)
                continue
            if not chosen:
                self.tell(number, UNREACHED)
                continue
            if len(running) == self.jobs:
                self.finish(running.pop(0))
            allowed = SLOWEST + 5 * round(sum(map(seconds_of, chosen)))
            pid = os.fork()
            if pid == 0:
                code = OTHER_FUNCTIONS
                try:
                    os.setpgid(0, 0)
                    limit_resources(allowed)
                    os.close(self.writing)
                    if change(self.path, mutant, functions):
                        code = run_until_failure(session, [session.items[visit.item] for visit in chosen])
                finally:
                    os._exit(code)
            running.append(Run(number, pid, time.monotonic() + 6 * allowed * self.jobs))
        for run in running:
            self.finish(run)
        return True

    def baseline(self, session: pytest.Session) -> list[Visit]:
        """Run all tests on the module as it is, in a fork: what each executes of it. Ends with the first failure."""
        reading, writing = os.pipe()
        if os.fork() == 0:
            try:
                self.trace.start()
                for number, start in enumerate(each_until_failure(session, session.items)):
                    found = [number, time.monotonic() - start, sorted(self.trace.take())]
                    os.write(writing, json.dumps(found).encode() + b"\n")
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, encoding="ascii") as lines:
            visits = [Visit(item, seconds, frozenset(found)) for item, seconds, found in map(json.loads, lines)]
        os.wait()
        return visits

    def finish(self, run: Run) -> None:
        code = wait(run.pid, run.until)
        self.tell(run.number, IMPORTED if code == OTHER_FUNCTIONS else outcome_of(code))

    def tell(self, number: int, outcome: str) -> None:
        os.write(self.writing, f"{number} {outcome}\n".encode())


def each_until_failure(session: pytest.Session, items: Sequence[pytest.Item]) -> Iterator[float]:
    """Run tests up to the first that fails: of each that passed, when it began."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        start = time.monotonic()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return
        yield start


def run_until_failure(session: pytest.Session, items: Sequence[pytest.Item]) -> int:
    """The exit code, as pytest's would be."""
    return 0 if sum(1 for _ in each_until_failure(session, items)) == len(items) else 1


def statements(source: str) -> dict[int, frozenset[int]]:
    """For each line the lines that show that it was executed: those of its statement, without the ones inside."""
    found: dict[int, frozenset[int]] = {}

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            place = node.pattern if isinstance(node, ast.match_case) else node
            lines = frozenset(range(place.lineno, (node_end(node) or place.lineno) + 1))
            for line in lines:
                found[line] = lines
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(source))
    return found


def head_lines(source: str) -> set[int]:
    """The lines of the heads of functions: what a parameter is by default is known once the module is imported."""
    return {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
        for line in range(node.lineno, (node_end(node) or node.lineno) + 1)
    }


def node_end(node: ast.AST) -> int | None:
    """The last line of a statement's head."""
    body = getattr(node, "body", None)
    if isinstance(body, list):
        return int(max(body[0].lineno - 1, getattr(node, "lineno", 0)))
    return node.end_lineno if isinstance(node, ast.stmt) else None


def functions_of(path: Path) -> list[FunctionType]:
    """All functions of a module that there are."""
    return [
        thing for thing in gc.get_objects() if type(thing) is FunctionType and thing.__code__.co_filename == str(path)
    ]


def change(path: Path, mutant: Mutant, functions: Sequence[FunctionType]) -> bool:
    """Give the functions their changed code, and the module to who imports it later. False where the change is one
    of which functions there are."""
    module = compile(mutant.module, str(path), "exec")
    import_instead(path, module)
    before = code_objects(compile(path.read_text(encoding="utf-8"), str(path), "exec"))
    after = code_objects(module)
    if [code.co_qualname for code in before] != [code.co_qualname for code in after]:
        return False
    new = dict(zip(before, after, strict=True))
    for function in functions:
        if function.__code__ not in new:
            return False
        function.__code__ = new[function.__code__]
    return True


def code_objects(code: CodeType) -> list[CodeType]:
    """A code object and those inside it, in the order of the source."""
    return [code, *(each for const in code.co_consts if isinstance(const, CodeType) for each in code_objects(const))]
