# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases that need what this kernel has not: measured by the same code in a guest, whose lines come back."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.kernels.uml.build import HERE, kernel

from kprobe_tool.errors import Error
from kprobe_tool.lab import boot
from kprobe_tool.lab.archive import Archive

from .figures import Measurements
from .measure import load
from .model import Case, Place

ROOT = Path(__file__).parents[1]
TIME_LIMIT = 3600
ROLE = "newest"
"""The lab's kernel for what needs BPF."""
PEERS = ("RDS_INFO", "PRETTY_VERIFIER", "BPFVV")

PREPARE = """\
mount -t tmpfs tmpfs /run
mkdir /run/netns
mount -t configfs configfs /sys/kernel/config
ip link set lo up
cd {root}
exec env {environment} {command}
"""


def measure_command(names: Sequence[str], options: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "bench", "--measure", *options, *names]


def measurements(
    place: Place, cases: Sequence[Case], options: Sequence[str]
) -> Iterator[tuple[str, str, Measurements]]:
    """(kernel's release, name of the case, its measurements) from a guest. Raises Error."""
    argv = measure_command([case.name for case in cases], options)
    lines = in_uml(argv) if place is Place.UML else in_lab(argv)
    release = ""
    for line in lines:
        if line.startswith("release "):
            release = line.split()[1]
        elif (found := load(line)) is not None:
            yield release, *found


def in_uml(argv: Sequence[str]) -> list[str]:
    """What a command prints in User Mode Linux. Raises Error."""
    if not kernel().exists():
        raise Error("User Mode Linux", "not built", hint="python -m tests.kernels.uml.build")
    passed = {name: os.environ[name] for name in PEERS if name in os.environ}
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/mnt",
        "TMPDIR": "/mnt",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        **passed,
    }
    with tempfile.TemporaryDirectory(dir=kernel().parent) as tmp:
        script = Path(tmp) / "commands.sh"
        words = shlex.join(f"{name}={value}" for name, value in environment.items())
        script.write_text(PREPARE.format(root=shlex.quote(str(ROOT)), environment=words, command=shlex.join(argv)))
        guest = [str(kernel()), f"uml_dir={tmp}/", "mem=4G", "rootfstype=hostfs", "rootflags=/", "ro"]
        guest += [
            f"init={HERE / 'init.sh'}",
            f"COMMANDS={script}",
            "con=null",
            "con0=null,fd:1",
            "quiet",
            "seccomp=on",
        ]
        done = subprocess.run(
            guest, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=TIME_LIMIT
        )
    console = done.stdout.decode(errors="replace").replace("\r", "").splitlines()
    if "uml: exit status 0" not in console:
        raise Error("User Mode Linux", " ".join(console[-3:])[-300:])
    return console


def in_lab(argv: Sequence[str]) -> list[str]:
    """What a command prints in a kernel of the lab. Raises Error."""
    if lacking := boot.missing():
        raise Error("kernel lab", f"not there: {', '.join(lacking)}")
    archive = Archive()
    chosen = archive.find(ROLE)
    archive.fetch(chosen)
    image = boot.Image(chosen.release, archive.directory(chosen))
    lines: list[str] = []
    # In the cache, because the guest sees nothing of the host's /tmp.
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=archive.cache) as tmp:
        script = Path(tmp) / "guest.sh"
        text = boot.guest_script(
            image,
            ["sh", "-c", f"exec {shlex.join(argv)} >&3"],
            cwd=ROOT,
            environment={},
            directories=boot.needed_directories(ROOT),
        )
        script.write_text(text, encoding="utf-8")
        limits = boot.GuestLimits(total=TIME_LIMIT)
        ending = boot.run(
            boot.virtme_run(image, script),
            Path(tmp) / "console.log",
            lambda line: lines.append(line.decode(errors="replace").strip()),
            threading.Event(),
            limits,
        )
    if ending.hung:
        raise Error(chosen.release, ending.hung)
    return lines
