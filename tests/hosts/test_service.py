# SPDX-License-Identifier: GPL-2.0-or-later
"""The service of contrib/monitoring under a real systemd: its verdicts are those of a service without any sandboxing.

systemd is the first process of namespaces of its own, and leaves this machine as it is.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ..skips import skip

ROOT = Path(__file__).parents[2]
SERVICE = ROOT / "contrib" / "monitoring" / "systemd" / "kprobe-tool-audit.service"
SYSTEMD = Path("/lib/systemd/systemd")
WAIT = 120
"""Seconds for systemd to start, or to be gone. It takes one on an idle machine."""
TARGET = "[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\n"
OUTSIDE = """\
echo $$ > {cgroup}/cgroup.procs
exec unshare --pid --mount --cgroup --uts --ipc --fork --kill-child --mount-proc sh -euc {inside}
"""
# Settings of the kernel are this machine's: systemd may not change them.
INSIDE = """\
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --bind {run} /run
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin {systemd} --system --unit=test.target
"""
# The checkout and the interpreter may be where PrivateTmp= and ProtectHome= hide them.
HERE = """\
[Unit]
DefaultDependencies=no
ConditionPathIsDirectory=
[Service]
Type=oneshot
ExecStart=
ExecStart={python} -m kprobe_tool audit -o json --fail-on never --write /run/out/audit.json
Environment=PYTHONDONTWRITEBYTECODE=1
ReadWritePaths=
ReadWritePaths=/run/out
BindReadOnlyPaths={places}
"""

Verdicts = dict[str, tuple[str, str]]
Run = Callable[[str, Sequence[str]], Verdicts]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Run a service of this text, with more settings; its verdicts with their reasons."""
    if os.geteuid() != 0 or not SYSTEMD.exists():
        skip("needs root and systemd")
    cgroup = cgroups() / "kprobe-tool-test"
    cgroup.mkdir()
    directory = Path(tempfile.mkdtemp(prefix="kprobe-tool-systemd-", dir="/var/tmp"))
    (directory / "systemd/system").mkdir(parents=True)
    (directory / "systemd/system/test.target").write_text(TARGET)
    (directory / "out").mkdir()
    (directory / "netns").mkdir()
    inside = INSIDE.format(run=directory, systemd=SYSTEMD)
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(
            ["sh", "-euc", OUTSIDE.format(cgroup=cgroup, inside=shlex.quote(inside))],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield Services(directory, process.pid).run
    finally:
        process.kill()
        process.wait()
        wait_until(lambda: remove(cgroup), "the end of what systemd started")
        shutil.rmtree(directory)


def cgroups() -> Path:
    """Where the unified hierarchy of control groups is mounted."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    places = [Path(place) for _, place, kind, *_ in mounts if kind == "cgroup2"]
    if not places:
        skip("control groups of version 2 are not mounted")
    return places[0]


class Services:
    """The systemd whose first process is the child of ``outside``."""

    def __init__(self, directory: Path, outside: int) -> None:
        self.directory = directory
        children = Path(f"/proc/{outside}/task/{outside}/children")
        wait_until(lambda: bool(children.read_text()), "namespaces")
        self.enter = ["nsenter", "--target", children.read_text().split()[0], "--all"]
        wait_until(lambda: self.systemctl("is-active", "test.target").returncode == 0, "systemd")

    def systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [*self.enter, "systemctl", "--no-pager", *arguments]
        return subprocess.run(argv, check=False, capture_output=True, text=True)

    def run(self, text: str, more: Sequence[str]) -> Verdicts:
        unit = self.directory / "systemd/system" / SERVICE.name
        unit.write_text(text)
        settings = unit.with_name(f"{unit.name}.d") / "here.conf"
        settings.parent.mkdir(exist_ok=True)
        places = " ".join(sorted({str(ROOT), sys.prefix}))
        settings.write_text("\n".join([HERE.format(python=sys.executable, places=places), *more, ""]))
        report = self.directory / "out/audit.json"
        report.unlink(missing_ok=True)
        assert self.systemctl("daemon-reload").returncode == 0
        done = self.systemctl("start", unit.name)
        assert done.returncode == 0, done.stderr + self.systemctl("status", unit.name).stdout
        rows: list[dict[str, Any]] = json.loads(report.read_text())["results"]
        return {row["id"]: (row["status"], row["reason"]) for row in rows}


def wait_until(done: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT
    while not done():
        assert time.monotonic() < end, f"{what}: not after {WAIT} s"
        time.sleep(0.1)


def remove(cgroup: Path) -> bool:
    """Whether it is gone, with those below it. The kernel keeps those that a process is in."""
    for path, *_ in os.walk(cgroup, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(path)
    return not cgroup.exists()


@pytest.fixture(scope="module")
def without_sandbox(run: Run) -> Verdicts:
    return run("[Unit]\n", [])


def test_verdicts_are_those_without_a_sandbox(run: Run, without_sandbox: Verdicts) -> None:
    assert run(SERVICE.read_text(), []) == without_sandbox


@pytest.mark.parametrize(
    "setting",
    [
        "RestrictSUIDSGID=yes",
        "RestrictNamespaces=user net",
        "SystemCallFilter=~@debug",
        "SystemCallFilter=~@mount",
        "SystemCallFilter=~@privileged",
        "SystemCallFilter=~@resources",
    ],
)
def test_settings_can_change_the_answer(setting: str, run: Run, without_sandbox: Verdicts) -> None:
    """The control: systemd does apply what the service says, and the audit sees it."""
    check = "extensible-struct-reachability"
    assert without_sandbox[check][0] == "ok"
    status, reason = run(SERVICE.read_text(), [setting])[check]
    assert (status, "seccomp" in reason) == ("affected", True)


@pytest.mark.parametrize("capability", ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"])
def test_a_capability_less_changes_the_answer(capability: str, run: Run, without_sandbox: Verdicts) -> None:
    text = SERVICE.read_text()
    assert capability in text
    verdicts = run(text, [f"CapabilityBoundingSet=~{capability}"])
    changed = {check for check, verdict in verdicts.items() if verdict != without_sandbox[check]}
    assert changed == {check for check in verdicts if check.startswith("skmsg-")}
    assert {verdicts[check][0] for check in changed} == {"unknown"}
