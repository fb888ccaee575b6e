# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests of one test session, as pytest on the host sees them: their kernels, and what came back.

They are booted by a process of their own (boots.py), which writes down what happens; whoever wants the result of a
test waits for it here. Not by threads of pytest: tests replace functions, fork, and wait for any child there is.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kprobe_tool.lab import boot
from kprobe_tool.lab.archive import Archive
from kprobe_tool.lab.machines import OWN
from kprobe_tool.lab.offers import Kernel
from kprobe_tool.lab.roles import ROLES

KEEP = 5
"""How many directories of sessions that are over are kept."""
POWER_OFF = 30
"""Seconds that a guest gets to send its log and to power off."""
PAUSE = 0.2
"""Seconds between two looks at what has come back."""

Report = dict[str, Any]


def kernel_of(data: dict[str, Any]) -> Kernel:
    """From JSON, which has no tuples."""
    return Kernel(**{**data, "roles": tuple(data["roles"]), "notes": tuple(data["notes"])})


@dataclass(frozen=True)
class Plan:
    """A kernel, and the tests to run on it."""

    kernel: Kernel
    tests: tuple[str, ...]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Plan":
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(kernel_of(data["kernel"]), tuple(data["tests"]))


@dataclass
class Guest:
    """One kernel's part of the session: what follows from the events so far."""

    kernel: Kernel
    tests: tuple[str, ...]
    directory: Path
    reports: dict[str, list[Report]] = field(default_factory=dict)
    running: str | None = None
    trouble: list[str] = field(default_factory=list)
    unavailable: str | None = None
    """Why the lab could not boot it at all."""
    over: bool = False
    boots: int = 0
    seconds: float = 0.0
    _partial: list[Report] = field(default_factory=list)
    """The reports of a test that is not done yet, which are dropped if the guest has to be booted again."""
    _position: int = 0
    """Bytes of the journal that have been read."""

    @property
    def console(self) -> Path:
        return self.directory / "console.log"

    @property
    def journal(self) -> Path:
        return self.directory / "events.jsonl"

    def missing(self) -> tuple[str, ...]:
        return tuple(t for t in self.tests if t not in self.reports)

    def take(self, event: Report) -> None:
        match event["event"]:
            # Events that the guest sends.
            case "start":
                self.running = event["test"]
                self._partial = []
            case "report":
                self._partial.append(event["report"])
            case "finish":
                self.reports[event["test"]] = self._partial
                self.running = None
            case "trouble":
                if event["text"] not in self.trouble:
                    self.trouble.append(event["text"])
            case "dmesg":
                (self.directory / "dmesg").write_text(event["text"], encoding="utf-8")
            # Events of the process that boots it.
            case "kernel":
                self.kernel = kernel_of(event["kernel"])
            case "boot":
                self.boots += 1
                self.running = None
                self._partial = []
            case "ending":
                self.seconds += event["seconds"]
                if event["hung"]:
                    where = f", in {self.running}" if self.running else ""
                    self.trouble.append(f"boot {self.boots} hung: {event['hung']}{where}")
            case "unavailable":
                self.unavailable = event["text"]
            case "over":
                self.over = True

    def read(self) -> None:
        """Take the events that were added to the journal."""
        try:
            with open(self.journal, "rb") as f:
                f.seek(self._position)
                whole, newline, _ = f.read().rpartition(b"\n")
        except FileNotFoundError:
            return
        self._position += len(whole) + len(newline)
        for line in whole.splitlines():
            self.take(json.loads(line))

    def epitaph(self, test: str) -> str:
        """Why there is no result for this test."""
        if self.running == test:
            what = f"{self.kernel.release} died during this test"
        elif self.running is not None:
            # The console is shown with the test that was running.
            return f"{self.kernel.release} died before this test, during {self.running}"
        else:
            what = f"no result came back from {self.kernel.release}"
        text = "\n".join([what, *self.trouble])
        # Where pytest in the guest has said what is wrong, the console adds nothing.
        tail = "" if self.trouble and self.running is None else console_tail(self.console)
        return f"{text}\n\nThe end of {self.console}:\n{tail}" if tail else text


def console_tail(path: Path, lines: int = 60) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.replace("\r", "").splitlines()[-lines:])


def prune(sessions: Path) -> None:
    """Remove the directories of sessions whose process is gone, except the newest; others run beside this one."""
    over = [path for path in sorted(sessions.iterdir()) if not Path("/proc", path.name.rpartition("-")[2]).exists()]
    for old in over[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)


class Lab:
    def __init__(self, rootdir: Path, inifile: Path | None) -> None:
        self.rootdir = rootdir
        self.inifile = inifile
        self.archive = Archive()
        others = [name for name in os.environ.get("KPROBE_TOOL_MACHINES", "").split() if name != OWN]
        self.other_archives = [Archive(architecture=name) for name in others]
        self.guests: dict[str, Guest] = {}
        # How kernels that are newer than the table of releases differ from it.
        self.news: list[str] = []
        # Why no guest can be booted on this machine.
        self.unavailable: str | None = None
        self._kernels: list[Kernel] | None = None
        self._boots: subprocess.Popen[bytes] | None = None

    def kernels(self) -> list[Kernel]:
        """The kernels of all roles; where none is to be had, placeholders."""
        if self._kernels is None:
            missing = boot.missing() + [
                what for archive in self.other_archives for what in boot.missing(archive.architecture)
            ]
            if missing:
                self.unavailable = f"not there: {', '.join(dict.fromkeys(missing))}"
            else:
                self._kernels = self.archive.kernels()
                for archive in self.other_archives:
                    self._kernels += archive.kernels()
                if not self._kernels:
                    self.unavailable = "; ".join(["no kernel to be had", *self.archive.problems])
            if self.unavailable:
                self._kernels = placeholders()
        assert self._kernels is not None
        return self._kernels

    def start(self, tests: Mapping[Kernel, list[str]]) -> None:
        """Start to boot the kernels, in this order, for the tests of each."""
        sessions = self.archive.cache / "runs"
        session = sessions / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
        for kernel, names in tests.items():
            guest = Guest(kernel, tuple(names), session / kernel.role, unavailable=self.unavailable)
            guest.over = self.unavailable is not None
            self.guests[kernel.role] = guest
        if self.unavailable:
            return
        for guest in self.guests.values():
            guest.directory.mkdir(parents=True)
            Plan(guest.kernel, guest.tests).write(guest.directory / "plan.json")
        prune(sessions)
        argv = [sys.executable, "-m", "tests.kernels.boots"]
        argv += [str(session), str(self.rootdir), str(self.inifile or ""), *self.guests]
        with open(session / "boots.log", "wb") as log:
            self._boots = subprocess.Popen(
                argv,
                cwd=self.rootdir,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C on the terminal is for pytest; the guests end with our end of the pipe.
                start_new_session=True,
            )

    def results(self, role: str, test: str) -> list[Report] | None:
        """The reports of a test, when it is done; None where there will be no result."""
        guest = self.guests[role]
        self._wait(lambda: test in guest.reports or guest.over)
        return guest.reports.get(test)

    def _wait(self, enough: Callable[[], bool], seconds: float = float("inf")) -> None:
        end = time.monotonic() + seconds
        while True:
            # Looked at before the journals: once the process is gone, they hold all that it wrote.
            gone = self._boots is None or self._boots.poll() is not None
            for guest in self.guests.values():
                guest.read()
            if gone:
                self._bury()
            if enough() or gone or time.monotonic() > end:
                return
            time.sleep(PAUSE)

    def _bury(self) -> None:
        """Mark the guests that were not over when the process that boots them ended."""
        for guest in self.guests.values():
            if not guest.over:
                guest.trouble.append("the process that boots the guests ended, see boots.log beside the consoles")
                guest.over = True

    def finish(self) -> None:
        """Let the guests whose tests are all done send their logs and power off, and stop the others."""
        self._wait(lambda: all(g.over or g.missing() for g in self.guests.values()), POWER_OFF)
        self.stop()

    def stop(self) -> None:
        if self._boots is None:
            return
        assert self._boots.stdin is not None
        self._boots.stdin.close()
        try:
            self._boots.wait(POWER_OFF)
        except subprocess.TimeoutExpired:
            # It is downloading, as a rule.
            self._boots.kill()
            self._boots.wait()
        for guest in self.guests.values():
            guest.read()


def placeholders() -> list[Kernel]:
    return [Kernel(role.name, "", "", (role.name,)) for role in ROLES]
