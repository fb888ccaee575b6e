# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot the guests of one test session: python -m tests.kernels.boots DIRECTORY ROOTDIR INIFILE ROLE...

DIRECTORY/ROLE/plan.json says which kernel and which tests; what happens is appended to events.jsonl beside it. A test
that a guest died of is not tried again unless the guest hung. Ends when standard input does, and all guests with it:
that is, at the latest, when the process that started it is gone.
"""

import argparse
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from kprobe_tool.errors import Error
from kprobe_tool.lab import boot, userland
from kprobe_tool.lab.archive import Archive
from kprobe_tool.lab.machines import MACHINES, OWN, architecture_of

from .session import Guest, Plan, Report

BOOTS = 2
"""How often a guest is booted, at most, where a boot hangs."""
PASSED_ON = (
    *("KPROBE_TOOL_NEWS", "KPROBE_TOOL_REQUIRE", "KPROBE_TOOL_HARM", "KPROBE_TOOL_LOAD", "KPROBE_TOOL_SOAK"),
    "PYTHONPATH",
)
"""The environment variables that tests in the guest read."""


class Journal:
    """The events of one guest, written to a file for those who wait for its results."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.file: BinaryIO = open(guest.journal, "ab", buffering=0)  # noqa: SIM115 (closed by close)

    def add(self, event: Report) -> None:
        self.guest.take(event)
        self.file.write(json.dumps(event).encode() + b"\n")

    def add_line(self, raw: bytes) -> None:
        try:
            event = json.loads(raw)
        except ValueError:
            return  # Something else wrote to /dev/stdout.
        self.add(event)

    def close(self) -> None:
        self.file.close()


class Boots:
    def __init__(self, rootdir: Path, inifile: str, guests: list[Guest]) -> None:
        self.rootdir = rootdir
        self.inifile = inifile
        self.archives = {name: Archive(architecture=name) for name in MACHINES}
        self.guests = guests
        self.stop = threading.Event()

    def archive_of(self, guest: Guest) -> Archive:
        return self.archives[architecture_of(guest.kernel.release)]

    def run_all(self) -> None:
        with ThreadPoolExecutor(boot.guests_at_a_time(), thread_name_prefix="guest") as pool:
            for guest in self.guests:
                pool.submit(self.run, guest)

    def run(self, guest: Guest) -> None:
        journal = Journal(guest)
        try:
            taken = [g.kernel.release for g in self.guests if g is not guest]
            kernel = self.archive_of(guest).fetch_best(guest.kernel, taken)
            journal.add({"event": "kernel", "kernel": asdict(kernel)})
            self.run_missing(guest, journal)
        except (Error, OSError) as e:
            journal.add({"event": "unavailable", "text": str(e)})
        finally:
            journal.add({"event": "over"})
            journal.close()

    def run_missing(self, guest: Guest, journal: Journal) -> None:
        archive = self.archive_of(guest)
        root = None if archive.architecture == OWN else userland.fetch(archive)
        image = boot.Image(guest.kernel.release, archive.directory(guest.kernel), root)
        while guest.boots < BOOTS and guest.missing() and not self.stop.is_set():
            journal.add({"event": "boot"})
            argv = boot.virtme_run(image, self.write_script(guest, image))
            limits = boot.OTHER_MACHINE_LIMITS if root else boot.DEFAULT_LIMITS
            ending = boot.run(argv, guest.console, journal.add_line, self.stop, limits)
            journal.add({"event": "ending", "seconds": ending.seconds, "hung": ending.hung})
            if not ending.hung:
                break

    def write_script(self, guest: Guest, image: boot.Image) -> Path:
        plan = guest.directory / "missing.json"
        Plan(guest.kernel, guest.missing()).write(plan)
        files = sorted({test.partition("::")[0] for test in guest.missing()})
        interpreter, python_path = boot.interpreter_in_guest(image)
        command = [*interpreter, "-m", "pytest", "-v", "--color=no", "-p", "no:cacheprovider"]
        # The options of everyday runs are left out: they do not matter here, and a -m would be wrong.
        command += ["-o", "addopts=", "--strict-markers", "--continue-on-collection-errors"]
        command += ["--basetemp=/tmp/pytest", f"--rootdir={boot.path_in_guest(image, self.rootdir)}"]
        if self.inifile:
            command += ["-c", str(boot.path_in_guest(image, Path(self.inifile)))]
        text = boot.guest_script(
            image,
            command + files,
            cwd=self.rootdir,
            environment={
                **python_path,
                "KPROBE_TOOL_GUEST": guest.kernel.release,
                "KPROBE_TOOL_PLAN": f"{boot.HOST}{plan}",
                # hypothesis, xdist and others do nothing in a guest, and take seconds to import.
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                **{name: os.environ[name] for name in PASSED_ON if name in os.environ and name not in python_path},
            },
            directories=boot.needed_directories(self.rootdir),
        )
        script = guest.directory / "guest.sh"
        script.write_text(text, encoding="utf-8")
        return script


def main() -> int:
    parser = argparse.ArgumentParser(description="Boots the guests of one test session.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("rootdir", type=Path)
    parser.add_argument("inifile")
    parser.add_argument("roles", nargs="+")
    args = parser.parse_args()
    guests = []
    for role in args.roles:
        plan = Plan.read(args.directory / role / "plan.json")
        guests.append(Guest(plan.kernel, plan.tests, args.directory / role))
    boots = Boots(args.rootdir, args.inifile, guests)

    def wait_for_the_end() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        boots.stop.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    boots.run_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())
