# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls refused, one at a time: an answer may become 'unknown', never another one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from ..skips import skip
from . import FULL, refuse
from .answers import OPEN, Claims, claims, contradictions
from .invocations import INVOCATIONS, TOOL, Invocation
from .runs import Run, run

REFUSE = Path(__file__).with_name("refuse.py")
ERRNOS = ("EPERM", "ENOSYS")

QUESTIONED = frozenset(
    {
        *("bpf", "clone3", "file_setattr", "file_getattr", "io_uring_setup", "io_uring_register", "listmount"),
        *("landlock_create_ruleset", "mount_setattr", "openat2", "perf_event_open", "pidfd_open", "sched_setattr"),
        *("sched_getattr", "setxattrat", "getxattrat", "statmount", "open_tree_attr"),
        # PIDFD_GET_INFO
        "ioctl",
    }
)
"""System calls that check-fields asks about: if one is refused, its answer is that it is refused."""

NEEDED = frozenset({"execve", "exit", "exit_group", "brk", "futex"})
"""System calls that every program needs. Where brk(2) or futex(2) is refused to a running one, glibc ends it."""

PART = frozenset(
    {
        *(
            "prctl",
            "rt_sigaction",
            "recvfrom",
            "recvmsg",
            "sendto",
            "newfstatat",
            "mmap",
            "unshare",
            "setns",
            "socket",
        ),
        *("socketpair", "prlimit64", "bpf", "openat", "clone", "wait4", "getdents64", "readlink", "statx", "pipe2"),
    }
)
"""System calls that the short form refuses: those that made trouble once, and those that most work is done with."""

SHORT = ("audit -o", "check-fields --all", "nvme-queues -o")

ASKED = [
    each
    for each in INVOCATIONS
    if "json" in each.arguments and not each.endless and (FULL or str(each).startswith(SHORT))
]


@cache
def table() -> str:
    if shutil.which("gcc") is None:
        skip("gcc is not installed, whose headers have the numbers of system calls")
    return refuse.table()


def find_used_calls(invocation: Invocation, tmp_path: Path) -> list[str]:
    """The system calls that a run of this makes, from the interpreter's start on."""
    if shutil.which("strace") is None:
        skip("strace is not installed")
    path = tmp_path / "calls"
    argv = ["strace", "-f", "-qq", "-c", "-U", "name", "-o", str(path), *TOOL, *invocation.arguments]
    subprocess.run(argv, check=False, capture_output=True, stdin=subprocess.DEVNULL)
    known = {each.partition(":")[0] for each in table().split()}
    found = set(re.findall(r"^\s*(\w+)\s*$", path.read_text(), re.MULTILINE)) & known
    assert found, path.read_text()
    return sorted(found - NEEDED if FULL else found & PART)


def run_refused(filters: Sequence[str], invocation: Invocation) -> Run:
    """A run under a filter that refuses this much; under one that refuses nothing, where that is empty."""
    tool = (sys.executable, str(REFUSE), *filters, "--")
    environment = {"HARM_NUMBERS": table(), "PYTHONPATH": os.pathsep.join(sys.path)}
    return run(invocation.arguments, tool=tool, environment=environment)


@cache
def run_undisturbed(invocation: Invocation) -> Claims:
    return claims(run_refused((), invocation).stdout)


@pytest.mark.parametrize("errno", ERRNOS)
@pytest.mark.parametrize("invocation", ASKED, ids=str)
def test_a_refused_call_changes_no_verdict(invocation: Invocation, errno: str, tmp_path: Path) -> None:
    whole = run_undisturbed(invocation)
    wrong = []
    for call in find_used_calls(invocation, tmp_path):
        done = run_refused([f"{call}={errno}"], invocation)
        try:
            claimed = claims(done.stdout)
        except ValueError:
            wrong.append(f"{call}: no document: {done.stdout[-200:]}")
            continue
        different = contradictions(whole, claimed)
        if call in QUESTIONED:
            different = {
                name: pair for name, pair in different.items() if "reachab" not in name and "absent" not in pair
            }
        if different:
            wrong.append(f"{call}: {different}")
        if "Traceback" in done.stderr:
            wrong.append(f"{call}: {done.stderr}")
        if done.left:
            wrong.append(f"{call}: {done.left}")
        if done.code not in {0, 1, 2, 3} or (whole and not claimed and done.code in {0, 1}):
            wrong.append(f"{call}: exit status {done.code} {done.stderr[-200:]}")
        if done.code == 0 and (lost := whole.keys() - claimed.keys()):
            wrong.append(f"{call}: exit status 0 without {sorted(lost)[:5]}")
        if done.code == 1 and claimed == {name: value for name, value in claimed.items() if value in OPEN}:
            wrong.append(f"{call}: exit status 1, and nothing was found")
    assert not wrong, "\n".join(wrong)
