# SPDX-License-Identifier: GPL-2.0-or-later
"""Run one command in several kernels, side by side: python -m kprobe_tool.lab.guests

A process of its own. The first line of its standard input is a plan, as JSON; what happens is written to standard
output, an object a line. It ends when its input does, and takes all guests and files with it: that is, at the latest,
when the process that started it is gone, however that went.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kprobe_tool.errors import Error
from kprobe_tool.lab import boot, unpacked
from kprobe_tool.lab.archive import Archive

CHANNEL = 3
"""The descriptor in a guest that leads back here."""
KVM_FIRST_SIGN = 60.0
"""Seconds until a guest under KVM must have started the command; emulation has all of its time."""
END = 20.0
"""Seconds that the process gets to stop its guests, when its input has ended."""

Event = dict[str, Any]


@dataclass(frozen=True)
class Guest:
    """A kernel to boot: the lab's by role or release, or that of a directory."""

    name: str
    directory: str | None = None


@dataclass(frozen=True)
class GuestPlan:
    """What to run where. ``seconds`` is for one guest, its boot included; ``directories`` it must be able to see."""

    guests: tuple[Guest, ...]
    command: tuple[str, ...]
    directories: tuple[str, ...]
    seconds: float
    environment: dict[str, str] = field(default_factory=dict)


class Runs:
    """The guests of a plan, in the process that boots them and tells what happens to them.

    Events have the ``guest`` they are about: fetch, boot (``release``, ``kvm``), line (``data``, as the command wrote
    it to CHANNEL), end (``seconds``), same (``release``: another guest has that kernel), failed (``reason``).
    """

    def __init__(self, plan: GuestPlan, directory: Path, archive: Archive) -> None:
        self.plan = plan
        self.directory = directory
        self.archive = archive
        self.stop = threading.Event()
        self._writing = threading.Lock()
        self._choosing = threading.Lock()
        self._taken: set[str] = set()
        self.kvm = boot.has_kvm()

    def tell(self, event: str, guest: Guest, **more: object) -> None:
        with self._writing:
            data = json.dumps({"event": event, "guest": guest.name, **more}).encode() + b"\n"
            while data:
                data = data[os.write(1, data) :]

    def run_all(self, at_a_time: int) -> None:
        with ThreadPoolExecutor(at_a_time) as pool:
            for number, guest in enumerate(self.plan.guests):
                pool.submit(self.run, guest, self.directory / str(number))

    def run(self, guest: Guest, directory: Path) -> None:
        try:
            directory.mkdir()
            image = self.image(guest, directory)
            if image is not None and not self.stop.is_set():
                self.start(guest, image, directory)
        except (Error, OSError) as error:
            self.tell("failed", guest, reason=str(error).removeprefix(f"{guest.name}: "))

    def image(self, guest: Guest, directory: Path) -> boot.Image | None:
        """The kernel of a guest; None where another guest has it already. Raises Error, OSError."""
        self.tell("fetch", guest)
        if guest.directory is not None:
            return unpacked.stage(unpacked.find(Path(guest.directory).resolve()), directory / "kernel")
        with self._choosing:
            kernel = self.archive.find(guest.name)
            if kernel.role == "none":
                self.archive.fetch(kernel)
            else:
                kernel = self.archive.fetch_best(kernel)
            if kernel.release in self._taken:
                self.tell("same", guest, release=kernel.release)
                return None
            self._taken.add(kernel.release)
        return boot.Image(kernel.release, self.archive.directory(kernel))

    def start(self, guest: Guest, image: boot.Image, directory: Path) -> None:
        """Boot once; once more where KVM gave no sign of life and software emulation may."""
        script = directory / "guest.sh"
        script.write_text(self.script(image), encoding="utf-8")
        has_started = False

        def line(raw: bytes) -> None:
            nonlocal has_started
            has_started = True
            self.tell("line", guest, data=raw.decode(errors="replace"))

        for kvm in (True, False) if self.kvm else (False,):
            self.tell("boot", guest, release=image.release, kvm=kvm)
            argv = boot.virtme_run(image, script, kvm=kvm)
            limits = boot.GuestLimits(
                first_sign_of_life=KVM_FIRST_SIGN if kvm else self.plan.seconds, total=self.plan.seconds
            )
            console = directory / "console.log"
            ending = boot.run(argv, console, line, self.stop, limits, temporary=directory)
            if has_started or self.stop.is_set():
                break
            self.kvm = False
        if ending.hung:
            self.tell("failed", guest, reason=ending.hung)
        elif not has_started:
            self.tell("failed", guest, reason=f"it did not boot{last_words(console)}")
        else:
            self.tell("end", guest, seconds=ending.seconds)

    def script(self, image: boot.Image) -> str:
        return boot.guest_script(
            image,
            self.plan.command,
            cwd=Path("/"),
            environment=self.plan.environment,
            directories=boot.needed_directories(*map(Path, self.plan.directories)),
        )


def last_words(console: Path) -> str:
    """The end of a console, for a reason."""
    lines = [line.strip() for line in console.read_text(errors="replace").splitlines() if line.strip()]
    return f": {lines[-1][:200]}" if lines else ""


@contextmanager
def events(plan: GuestPlan) -> Iterator[Iterator[Event]]:
    """What happens to the guests of a plan; leaving the block ends them. Raises Error where none can be booted."""
    if missing := boot.missing():
        raise Error("cannot boot kernels", f"this machine lacks {', '.join(missing)}")
    process = subprocess.Popen(
        [sys.executable, "-m", "kprobe_tool.lab.guests"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Ctrl-C on the terminal is for us; guests end with our end of the pipe.
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(asdict(plan)).encode() + b"\n")
        process.stdin.flush()
        yield map(json.loads, process.stdout)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def lines_here(command: Sequence[str], seconds: float) -> list[str]:
    """What a command writes on the running kernel, without a guest. Raises Error where it takes longer."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Error("this kernel", f"not done after {seconds:.0f} s") from error
    return done.stdout.splitlines()


def parse_plan(line: str) -> GuestPlan:
    data = json.loads(line)
    return GuestPlan(
        tuple(Guest(**guest) for guest in data["guests"]),
        tuple(data["command"]),
        tuple(data["directories"]),
        data["seconds"],
        data["environment"],
    )


def first_line() -> str:
    """Of standard input, which has no buffer here: a thread that waits in one cannot be left behind."""
    data = b""
    while not data.endswith(b"\n"):
        part = os.read(0, 65536)
        if not part:
            raise SystemExit(2)
        data += part
    return data.decode()


def main() -> int:
    plan = parse_plan(first_line())
    archive = Archive()
    archive.cache.mkdir(parents=True, exist_ok=True)
    # In the cache, which has room for the image of a --kernel-dir.
    with tempfile.TemporaryDirectory(prefix=".guests-", dir=archive.cache) as directory:
        runs = Runs(plan, Path(directory), archive)

        def wait_for_the_end() -> None:
            while os.read(0, 4096):
                pass
            runs.stop.set()
            time.sleep(END)
            # A download goes on, and nobody waits for it any more.
            archive.abandon()
            shutil.rmtree(directory, ignore_errors=True)
            os.killpg(0, signal.SIGKILL)

        threading.Thread(target=wait_for_the_end, daemon=True).start()
        runs.run_all(boot.guests_at_a_time())
    return 0


if __name__ == "__main__":
    sys.exit(main())
