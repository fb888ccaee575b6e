# SPDX-License-Identifier: GPL-2.0-or-later
"""Where something is missing that a host usually has: one line that says so, and no verdict that rests on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ..nobody import command_as_nobody
from ..skips import skip
from . import FULL, refuse
from .answers import claims, contradictions
from .invocations import INVOCATIONS, Invocation
from .runs import run

DOCKER = Path(__file__).with_name("docker.json")
REFUSE = Path(__file__).with_name("refuse.py")


@dataclass(frozen=True)
class Environment:
    """What is put before a command line. ``mute``: nobody gets an answer there, so no exit status may claim one."""

    name: str
    prefix: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    mute: bool = False
    root: bool = False


def shell_environment(name: str, script: str, *, mute: bool = False) -> Environment:
    return Environment(name, ("sh", "-c", f'{script}; exec "$@"', "sh"), mute=mute)


def redirected_environment(name: str, redirection: str, *, mute: bool) -> Environment:
    return Environment(name, ("sh", "-c", f'exec "$@" {redirection}', "sh"), mute=mute)


def mounted_environment(name: str, script: str) -> Environment:
    return Environment(name, ("unshare", "--mount", "sh", "-c", f'{script} && exec "$@"', "sh"), root=True)


CHROOT = """
mount -t tmpfs tmpfs /mnt
mkdir /mnt/root
mount --bind / /mnt/root
mount -t tmpfs tmpfs /mnt/root/dev
mknod /mnt/root/dev/null c 1 3
exec chroot /mnt/root "$@"
"""
"""Without /proc and /sys, which are other file systems."""

ENVIRONMENTS = (
    redirected_environment("stdin closed", "<&-", mute=False),
    redirected_environment("stdout closed", ">&-", mute=True),
    redirected_environment("stderr closed", "2>&-", mute=False),
    redirected_environment("nothing open", "<&- >&- 2>&-", mute=True),
    redirected_environment("stdout full", ">/dev/full", mute=True),
    redirected_environment("stderr full", "2>/dev/full", mute=False),
    *(shell_environment(f"{size} MiB of memory", f"ulimit -v {size * 1024}") for size in (40, 60, 100, 200, 500)),
    *(Environment(f"{number} descriptors", ("prlimit", f"--nofile={number}")) for number in (6, 8, 12)),
    Environment("no further process", ("prlimit", "--nproc=1")),
    Environment("no file may grow", ("prlimit", "--fsize=0")),
    Environment(
        "1,100 descriptors inherited",
        ("bash", "-c", 'ulimit -n 4096; for fd in {10..1110}; do eval "exec $fd</dev/null"; done; exec "$@"', "bash"),
    ),
    shell_environment("children not waited for", "trap '' CHLD"),
    shell_environment("working directory gone", 'cd "$(mktemp -d)" && rmdir "$PWD"'),
    Environment("no home", ("env", "-u", "HOME")),
    Environment("no environment", ("env", "-i")),
    Environment("dumb terminal", variables={"TERM": "dumb", "LC_ALL": "C", "COLUMNS": "1"}),
    Environment("no locale of that name", variables={"LC_ALL": "xx_YY.UTF-8", "LANG": "\udcff"}),
    mounted_environment("no /proc", "umount -l /proc"),
    mounted_environment("no /sys", "umount -R -l /sys"),
    mounted_environment("neither /proc nor /sys", "umount -R -l /sys && umount -l /proc"),
    mounted_environment("/tmp is read-only", "mount -o remount,ro /tmp"),
    mounted_environment(
        "/tmp is full",
        "mount -o remount,size=4k /tmp && exec 9> /tmp/full && rm /tmp/full && { yes >&9 2>&- || true; }",
    ),
    mounted_environment("processes hidden", "mount -t proc -o hidepid=2 proc /proc"),
    Environment(
        "a container of a user's",
        ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"),
    ),
    Environment("an interpreter that optimizes", variables={"PYTHONOPTIMIZE": "2"}),
    Environment(
        "a change of root with next to no /dev", ("unshare", "--mount", "sh", "-ec", CHROOT, "sh"), root=True
    ),
    Environment("a small stack", ("prlimit", f"--stack={256 << 10}")),
    Environment("no memory may be locked", ("prlimit", "--memlock=0")),
    *(Environment(f"{size} MiB of data", ("prlimit", f"--data={size << 20}")) for size in (20, 40, 60)),
    Environment("no signals left", ("prlimit", "--sigpending=0")),
)

SHORT = ("audit -o", "check-fields openat2 -o", "rds-info --from", "verifier-log load null")
ASKED = [
    each
    for each in INVOCATIONS
    if "json" in each.arguments and not each.endless and (FULL or str(each).startswith(SHORT))
]

Undisturbed = dict[Invocation, Mapping[str, str]]


@pytest.fixture(scope="session")
def undisturbed() -> Undisturbed:
    return {}


def require_environment(environment: Environment) -> None:
    """Skip the test where this environment cannot be made."""
    if environment.root and os.geteuid() != 0:
        skip("mounting needs root")
    # What the whole prefix mounts over belongs to the room. Here only the start of it is tried: may anything be
    # mounted?
    prefix = environment.prefix[:2] if environment.root else environment.prefix
    if prefix:
        probe = subprocess.run([*prefix, "true"], check=False, capture_output=True, text=True)
        if probe.returncode != 0:
            skip(f"{prefix[0]}: {probe.stderr.strip()}")


@pytest.mark.parametrize("invocation", ASKED, ids=str)
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda environment: environment.name)
def test_an_odd_environment_changes_no_verdict(
    environment: Environment, invocation: Invocation, undisturbed: Undisturbed
) -> None:
    require_environment(environment)
    if invocation not in undisturbed:
        undisturbed[invocation] = claims(run(invocation.arguments).stdout)
    done = run(invocation.arguments, prefix=environment.prefix, environment=environment.variables)
    assert "Traceback" not in done.stderr, done.stderr
    assert "this is a bug" not in done.stderr, done.stderr
    assert not done.left
    if environment.mute:
        assert done.code in {2, 3}, (done.code, done.stderr)
        return
    assert done.code in {0, 1, 2, 3}, (done.code, done.stderr)
    claimed = claims(done.stdout)
    assert not contradictions(undisturbed[invocation], claimed)
    if not done.stdout.strip():
        assert done.code in {2, 3}, (done.code, done.stderr)
    else:
        json.loads(done.stdout)


@pytest.mark.parametrize("invocation", ASKED, ids=str)
def test_an_isolated_interpreter_changes_no_verdict(invocation: Invocation, undisturbed: Undisturbed) -> None:
    if invocation not in undisturbed:
        undisturbed[invocation] = claims(run(invocation.arguments).stdout)
    done = run(invocation.arguments, tool=(sys.executable, "-I", "-m", "kprobe_tool"))
    assert done.code in {0, 1, 3}, done.stderr
    assert not contradictions(undisturbed[invocation], claims(done.stdout))
    assert not done.left


@pytest.mark.parametrize("invocation", ASKED, ids=str)
def test_a_container_changes_no_verdict(invocation: Invocation, undisturbed: Undisturbed) -> None:
    """Root with Docker's default capabilities and system calls."""
    if os.geteuid() != 0:
        skip("dropping capabilities needs root")
    if shutil.which("gcc") is None:
        skip("gcc is not installed, whose headers have the numbers of system calls")
    if invocation not in undisturbed:
        undisturbed[invocation] = claims(run(invocation.arguments).stdout)
    kept = ",".join(f"+{name}" for name in json.loads(DOCKER.read_text())["capabilities"])
    prefix = ["setpriv", f"--bounding-set=-all,{kept}", "--inh-caps=-all"]
    prefix += [sys.executable, str(REFUSE), str(DOCKER), "--"]
    environment = {"HARM_NUMBERS": refuse.table()}
    done = run(invocation.arguments, prefix=prefix, environment=environment)
    assert done.code in {0, 1, 2, 3}, (done.code, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    assert not done.left
    different = contradictions(undisturbed[invocation], claims(done.stdout))
    # What the filter refuses is refused to whoever asks there: that is the answer of check-fields.
    assert not {name: pair for name, pair in different.items() if "reachab" not in name and "absent" not in pair}


def test_nobody_gets_an_answer_or_a_reason() -> None:
    """Every command answers or says what it lacks."""
    for invocation in ASKED:
        prefix = command_as_nobody([])
        done = run(invocation.arguments, prefix=prefix)
        assert done.code in {0, 1, 3}, (invocation, done.stderr)
        assert "Traceback" not in done.stderr
        assert not done.left


HOSTILE = ("\x1b[31m", "\udcff\udcfe", "a\nb", "\u202etxt", "x" * 70000, "-", "--", "", "%s%n", "../../etc/passwd")


@pytest.mark.parametrize("word", HOSTILE if FULL else HOSTILE[:5], ids=lambda word: ascii(word[:20]))
@pytest.mark.parametrize(
    "command",
    [
        ("audit", "--only"),
        ("audit", "--waivers"),
        ("check-fields",),
        ("check-fields", "openat2", "--require"),
        ("rds-info", "--netns"),
        ("rds-info", "--counter"),
        ("nvme-queues", "--sysfs"),
        ("nvme-queues", "--simulate"),
        ("verifier-log", "explain", "--errno"),
        ("verifier-log", "load"),
        ("explain",),
        ("schema",),
    ],
    ids=" ".join,
)
def test_hostile_words_do_not_reach_the_terminal(command: tuple[str, ...], word: str) -> None:
    done = run([*command, word])
    assert done.code in {0, 2, 3}, (done.code, done.stderr)
    assert "Traceback" not in done.stderr
    for stream in (done.stdout, done.stderr):
        assert not [c for c in stream if c != "\n" and not c.isprintable()], ascii(stream[:300])
