"""The boots of one test session: which kernels, when, and what came back.

The boots run in the background; whoever wants the result of a test waits for it here.
"""

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kprobe_tool.errors import Error
from kprobe_tool.lab import boot
from kprobe_tool.lab.archive import Archive
from kprobe_tool.lab.offers import Kernel
from kprobe_tool.lab.roles import ROLES

#: How many guests run at a time.
GUESTS = int(os.environ.get("KPROBE_TOOL_GUESTS", max(1, len(os.sched_getaffinity(0)) // boot.CPUS)))
#: A boot that hangs is tried again.
BOOTS = 2
#: The directories of this many sessions are kept.
KEEP = 5
#: What the tests in the guest read of the environment.
PASSED_ON = ("KPROBE_TOOL_NEWS", "KPROBE_TOOL_REQUIRE", "KPROBE_TOOL_SOAK", "PYTHONPATH")
#: Seconds that a guest gets for it.
POWER_OFF = 30

Report = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What the guest is told: who it is and which tests to run."""

    kernel: Kernel
    tests: tuple[str, ...]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Plan":
        data = json.loads(path.read_text(encoding="utf-8"))
        k = data["kernel"]
        kernel = Kernel(**{**k, "roles": tuple(k["roles"]), "notes": tuple(k["notes"])})
        return cls(kernel, tuple(data["tests"]))


@dataclass
class Guest:
    """One kernel's part of the session. Written by the thread that boots it, under Lab.changed."""

    kernel: Kernel
    tests: tuple[str, ...]
    directory: Path
    reports: dict[str, list[Report]] = field(default_factory=dict)
    running: str | None = None
    trouble: list[str] = field(default_factory=list)
    #: The lab could not boot it at all.
    unavailable: str | None = None
    over: bool = False
    boots: int = 0
    seconds: float = 0.0
    #: Of a test that is not done yet: forgotten if the guest has to be booted again.
    _partial: list[Report] = field(default_factory=list)

    @property
    def console(self) -> Path:
        return self.directory / "console.log"

    def missing(self) -> tuple[str, ...]:
        return tuple(t for t in self.tests if t not in self.reports)

    def take(self, event: Report) -> None:
        match event["event"]:
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

    def rewind(self) -> None:
        self.running = None
        self._partial = []

    def epitaph(self, test: str) -> str:
        """Why there is no result for this test."""
        if self.running == test:
            what = f"{self.kernel.release} died during this test"
        elif self.running is not None:
            # What the console says is with that one.
            return f"{self.kernel.release} died before this test, during {self.running}"
        else:
            what = f"no result came back from {self.kernel.release}"
        text = "\n".join([what, *self.trouble])
        # Trouble that pytest had in the guest explains itself.
        tail = "" if self.trouble and self.running is None else console_tail(self.console)
        return f"{text}\n\nThe end of {self.console}:\n{tail}" if tail else text


def console_tail(path: Path, lines: int = 60) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.replace("\r", "").splitlines()[-lines:])


class Lab:
    def __init__(self, rootdir: Path, inifile: Path | None) -> None:
        self.rootdir = rootdir
        self.inifile = inifile
        self.archive = Archive()
        self.guests: dict[str, Guest] = {}
        #: Where kernels that are newer than what is known of them differ from it.
        self.news: list[str] = []
        self.changed = threading.Condition()
        #: Why no guest can be booted on this machine.
        self.unavailable: str | None = None
        self._kernels: list[Kernel] | None = None
        self._stop = threading.Event()
        self._pool: ThreadPoolExecutor | None = None

    def kernels(self) -> list[Kernel]:
        """The kernels of all roles. If there are none to be had, one for each role that exists in name only."""
        if self._kernels is None:
            if missing := boot.missing():
                self.unavailable = f"not there: {', '.join(missing)}"
            else:
                self._kernels = self.archive.kernels()
                if not self._kernels:
                    self.unavailable = "; ".join(["no kernel to be had", *self.archive.problems])
            if self.unavailable:
                self._kernels = placeholders()
        assert self._kernels is not None
        return self._kernels

    # --- the host's side of a session ---

    def start(self, tests: Mapping[Kernel, list[str]]) -> None:
        """Starts to boot; the tests are given by kernel, and booted in that order."""
        sessions = self.archive.cache / "runs"
        session = sessions / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
        for kernel, names in tests.items():
            directory = session / kernel.role
            guest = Guest(kernel, tuple(names), directory, unavailable=self.unavailable)
            guest.over = self.unavailable is not None
            self.guests[kernel.role] = guest
        if self.unavailable:
            return
        session.mkdir(parents=True)
        for old in sorted(sessions.iterdir())[:-KEEP]:
            shutil.rmtree(old, ignore_errors=True)
        self._pool = ThreadPoolExecutor(GUESTS, thread_name_prefix="guest")
        for guest in self.guests.values():
            self._pool.submit(self._run, guest)

    def results(self, role: str, test: str) -> list[Report] | None:
        """Waits until the test is done. None: there is no result and there will be none."""
        guest = self.guests[role]
        with self.changed:
            # With a timeout only so that Ctrl-C gets through.
            while test not in guest.reports and not guest.over:
                self.changed.wait(timeout=1)
            return guest.reports.get(test)

    def finish(self) -> None:
        """Lets the guests whose tests are all done send their logs and power off, and stops the others."""
        end = time.monotonic() + POWER_OFF
        with self.changed:
            while time.monotonic() < end and any(not g.over and not g.missing() for g in self.guests.values()):
                self.changed.wait(timeout=0.5)
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    # --- in the background ---

    def _run(self, guest: Guest) -> None:
        try:
            guest.directory.mkdir(parents=True)
            taken = [g.kernel.release for g in self.guests.values() if g is not guest]
            guest.kernel = self.archive.fetch_best(guest.kernel, taken)
            self._boot(guest)
        except (Error, OSError) as e:
            with self.changed:
                guest.unavailable = str(e)
        finally:
            with self.changed:
                guest.over = True
                self.changed.notify_all()

    def _boot(self, guest: Guest) -> None:
        image = boot.Image(guest.kernel.release, self.archive.directory(guest.kernel))
        while guest.boots < BOOTS and guest.missing():
            script = self._write_script(guest, image)

            def line(raw: bytes) -> None:
                try:
                    event = json.loads(raw)
                except ValueError:
                    return  # something wrote to /dev/stdout
                with self.changed:
                    guest.take(event)
                    self.changed.notify_all()

            with self.changed:
                guest.boots += 1
                guest.rewind()
            ending = boot.run(image, script, guest.console, line, self._stop)
            with self.changed:
                guest.seconds += ending.seconds
                if ending.hung:
                    where = f", in {guest.running}" if guest.running else ""
                    guest.trouble.append(f"boot {guest.boots} hung: {ending.hung}{where}")
            if not ending.hung or ending.stopped:
                break

    def _write_script(self, guest: Guest, image: boot.Image) -> Path:
        plan = guest.directory / "plan.json"
        Plan(guest.kernel, guest.missing()).write(plan)
        files = sorted({test.partition("::")[0] for test in guest.missing()})
        command = [sys.executable, "-m", "pytest", "-v", "--color=no", "-p", "no:cacheprovider"]
        # It warns where it cannot write into the checkout.
        command += ["-p", "no:hypothesispytest"]
        # What the command line of everyday runs has does not matter here (a -m would even be wrong).
        command += ["-o", "addopts=", "--strict-markers", "--continue-on-collection-errors"]
        command += ["--basetemp=/tmp/pytest", f"--rootdir={self.rootdir}"]
        if self.inifile is not None:
            command += ["-c", str(self.inifile)]
        text = boot.guest_script(
            image,
            command + files,
            cwd=self.rootdir,
            environment={
                "KPROBE_TOOL_GUEST": guest.kernel.release,
                "KPROBE_TOOL_PLAN": f"{boot.HOST}{plan}",
                **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            },
            directories=needed_directories(self.rootdir),
        )
        script = guest.directory / "guest.sh"
        script.write_text(text, encoding="utf-8")
        return script


def needed_directories(rootdir: Path) -> list[Path]:
    """Where Python and the checkout are."""
    return [rootdir, *{Path(p) for p in (sys.prefix, sys.base_prefix)}]


def placeholders() -> list[Kernel]:
    return [Kernel(role.name, "", "", (role.name,)) for role in ROLES]
