# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the contenders of a case in turn, and what each run took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO

from .figures import Measurements, Usage
from .model import OURS, Case, Command, Contenders, Missing

STARTER = Path(__file__).with_name("starter.py")

FAILED = 125
"""Exit status of a child that could not do its work."""


class WorkFailed(Exception):
    """A run that did not do its work, and what it said."""


def measure(case: Case, rounds: int, sizes: Sequence[int], say: Callable[[str], None]) -> Measurements:
    """Every contender once in each round, so that what else the machine does falls on all of them alike."""
    result = Measurements()
    for size in sizes:
        say(f"{case.name} {size}")
        try:
            with case.prepare(size) as contenders:
                for number in range(rounds):
                    take_turns(size, contenders, number, rounds, result)
        except (OSError, subprocess.CalledProcessError) as error:
            result.missing[size, OURS] = str(error)
    return result


def take_turns(size: int, contenders: Contenders, number: int, rounds: int, result: Measurements) -> None:
    """One round. Who fails once is out."""
    for name, command in contenders.items():
        if isinstance(command, Missing):
            result.missing[size, name] = command.reason
            continue
        if (size, name) in result.missing or number >= (command.rounds or rounds):
            continue
        try:
            result.add(size, name, run(command))
        except (WorkFailed, OSError) as error:
            result.runs.pop((size, name), None)
            result.missing[size, name] = str(error)


def run(command: Command) -> Usage:
    """One run, its output thrown away. Raises WorkFailed, OSError."""
    with tempfile.TemporaryFile() as complaints, command.around() as counts:
        work = command.work
        usage, status = call(work, complaints) if callable(work) else spawn(work, complaints)
        code = os.waitstatus_to_exitcode(status)
        if code not in command.codes:
            complaints.seek(0)
            last = complaints.read().decode(errors="replace").strip().splitlines()[-1:]
            raise WorkFailed(f"exit status {code}: {' '.join(last)[:200]}")
    # Not before the block is left, which is when what was counted is known.
    return replace(usage, counts=dict(counts))


def spawn(argv: Sequence[str], complaints: IO[bytes]) -> tuple[Usage, int]:
    """A program, begun by a process that is small: what begins a program counts as its largest resident set."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(STARTER), *argv], stdout=subprocess.PIPE, stderr=complaints, check=True
    )
    cpu, wall, memory, status = done.stdout.split()
    return Usage(float(cpu), float(wall), int(memory)), int(status)


def call(work: Callable[[], None], complaints: IO[bytes]) -> tuple[Usage, int]:
    """A function, in a child."""
    before = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(complaints.fileno(), 2)
            work()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(FAILED)
    _, status, usage = os.wait4(pid, 0)
    return Usage(usage.ru_utime + usage.ru_stime, time.monotonic() - before), status


def dump(name: str, measurements: Measurements) -> str:
    """A line for :func:`load`, which is somewhere else."""
    return json.dumps(
        {
            "case": name,
            "runs": [[*key, [asdict(usage) for usage in usages]] for key, usages in measurements.runs.items()],
            "missing": [[*key, reason] for key, reason in measurements.missing.items()],
        }
    )


def load(line: str) -> tuple[str, Measurements] | None:
    """The name of a case and its measurements; None where the line is something else."""
    try:
        document = json.loads(line)
    except ValueError:
        return None
    if not isinstance(document, Mapping) or "case" not in document:
        return None
    return document["case"], Measurements(
        {(size, name): [Usage(**usage) for usage in usages] for size, name, usages in document["runs"]},
        {(size, name): reason for size, name, reason in document["missing"]},
    )


def progress(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")
