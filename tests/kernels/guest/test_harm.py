"""The host before and after the commands that touch it, with RDS, kernel TLS and NVMe there: to their end, into
signals, and as nobody with what SECURITY.md says that they need.

Opt-in ('make harm'): a look at all of a guest's state takes seconds in it.

A command runs in a fork of this process, because starting Python is what takes time here. What it starts becomes a
child of this process when it has died.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from kprobe_tool.native.libc import libc
from kprobe_tool.probes.rds import experiment as rds
from kprobe_tool.probes.skmsg import experiment as skmsg

from ...harm import FULL
from ...harm.privilege import (
    ALL,
    PrivilegedAnswer,
    check_row,
    documented_capabilities,
    read_answer,
)
from ...harm.room import list_files
from ...harm.runs import RUNS, Snapshot, assert_unchanged, list_names, snapshot
from ...nobody import become_nobody
from .nvmet import Target, every_cpu_online, wait_until
from .tool import forked, tool

pytestmark = pytest.mark.skipif(not FULL, reason="KPROBE_TOOL_HARM=full runs it")

NQN = "nqn.2026-01.org.example:harm"
# linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36

WRITABLE = ["/tmp", "/dev/shm"]
ENDED = {0, 1, 3}
SIGNALS = {
    signal.SIGINT: {-signal.SIGINT, 130},
    signal.SIGTERM: {-signal.SIGTERM, 143},
    signal.SIGKILL: {-signal.SIGKILL},
}
"""By signal: the exit statuses of a command that it ended."""
TRIES = 5
"""How often a signal is tried at a point that may be short. At last it is sent before the command begins."""
GONE_AFTER = 120.0
"""Seconds that orphans have to see that they are."""

RELEASE = "6.12."
"""The kernel that the second table of SECURITY.md is of."""

Condition = Callable[[int], bool]


def children(pid: int) -> frozenset[int]:
    found = set()
    for task in list_names(f"/proc/{pid}/task"):
        # Threads and their children come and go.
        with suppress(OSError):
            found |= {int(child) for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()}
    return frozenset(found)


def descendants(pid: int) -> Iterator[int]:
    for child in children(pid):
        yield child
        yield from descendants(child)


def namespace_of(pid: int) -> str | None:
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/net")
    return None


def count_sockets(pid: int) -> int:
    found = 0
    for name in list_names(f"/proc/{pid}/fd"):
        with suppress(OSError):
            found += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
    return found


def has_child(pid: int) -> bool:
    return bool(children(pid))


def has_namespace(pid: int) -> bool:
    """Whether one of its descendants is in a network namespace other than its own."""
    ours = {None, namespace_of(pid)}
    return any(namespace_of(each) not in ours for each in descendants(pid))


def has_socket(pid: int) -> bool:
    """Whether it has more sockets than this process, from which it has its first ones."""
    return count_sockets(pid) > count_sockets(os.getpid())


@dataclass(frozen=True)
class Case:
    """A command, and the signals that it gets, each at a point of its life."""

    arguments: tuple[str, ...]
    signals: tuple[tuple[signal.Signals, Condition], ...]

    def __str__(self) -> str:
        return " ".join(self.arguments)


def signal_rows(condition: Condition) -> tuple[tuple[signal.Signals, Condition], ...]:
    return tuple((number, condition) for number in SIGNALS)


CASES = (
    Case(("rds-info", "--all-netns"), signal_rows(has_socket)),
    Case(("rds-info", "--leak-check"), (*signal_rows(has_child), (signal.SIGKILL, has_namespace))),
    Case(("nvme-queues",), signal_rows(has_child)),
    Case(("skmsg", "check"), signal_rows(has_child)),
    # What it asks about skmsg is the case before, and compiling takes long here.
    Case(("audit", "--skip", "skmsg"), signal_rows(has_namespace)),
)


@pytest.fixture(scope="module", autouse=True)
def systems(modprobe: Callable[..., None]) -> Iterator[None]:
    """RDS over TCP, kernel TLS, an NVMe controller, another network namespace; and we wait for each orphan's end."""
    modprobe("rds", "rds_tcp", "tls")
    rds.attempt.cache_clear()
    skmsg.attempt.cache_clear()
    has_loop = subprocess.run(["modprobe", "-n", "-q", "nvme-loop"], check=False).returncode == 0
    transport = "loop" if has_loop else "tcp"
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    with every_cpu_online():
        target = Target(modprobe)
        subprocess.run(["ip", "netns", "add", "another"], check=True)
        try:
            target.offer(NQN, transport)
            target.connect(NQN, transport)
            yield
        finally:
            target.close()
            subprocess.run(["ip", "netns", "del", "another"], check=True)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0


@dataclass(frozen=True)
class Before:
    """How the guest was: files where programs leave some, children of this process, and what outlives processes."""

    files: set[str]
    ours: frozenset[int]
    state: Snapshot


@pytest.fixture(scope="module")
def before(systems: None) -> Before:
    """Taken once, since it takes seconds here: no test may change anything."""
    return Before(list_files(WRITABLE), children(os.getpid()), snapshot())


@pytest.fixture(autouse=True)
def nothing_changes(before: Before, record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Check that no process is left, no file, and nothing in the kernel; and write down how often it was tried."""
    runs = len(RUNS)
    yield
    record_property("runs", len(RUNS) - runs)
    wait_until(lambda: not reap(before.ours), "orphans", GONE_AFTER)
    assert_unchanged(before.state)
    assert list_files(WRITABLE) - before.files == set()


def reap(ours: frozenset[int]) -> frozenset[int]:
    """Reap the orphans of others that have ended. Returns those that have not."""
    left = children(os.getpid()) - ours
    return frozenset(pid for pid in left if os.waitpid(pid, os.WNOHANG) == (0, 0))


def start(arguments: tuple[str, ...], output: int) -> int:
    """A child that has stopped just before it begins with the command; its document goes to ``output``."""
    pid = os.fork()
    if pid == 0:
        try:
            for number in SIGNALS.keys() - {signal.SIGKILL}:
                signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGSTOP)
            answer = tool(*arguments, "-o", "json")
            os.write(output, answer.out.encode())
            os._exit(answer.code)
        finally:
            os._exit(99)
    _, status = os.waitpid(pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    RUNS.append(arguments)
    return pid


def has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def interrupt(case: Case, number: signal.Signals, point: Condition | None) -> int | None:
    """The exit status of a command that got a signal at a point of its life; None where it had printed all by then.

    Without a point the signal comes before its first line.
    """
    output = os.memfd_create("output")
    try:
        pid = start(case.arguments, output)
        if point is None:
            os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)
        if point is not None:
            while not point(pid) and not has_ended(pid):
                time.sleep(0.001)
            os.kill(pid, number)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        printed = os.pread(output, 1 << 24, 0)
    finally:
        os.close(output)
    # The whole document: it was on its way out.
    return None if code in ENDED and printed and json.loads(printed)["document"] else code


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_changes_to_the_end(case: Case) -> None:
    output = os.memfd_create("output")
    pid = start(case.arguments, output)
    os.kill(pid, signal.SIGCONT)
    _, status = os.waitpid(pid, 0)
    printed = os.pread(output, 1 << 24, 0)
    os.close(output)
    assert os.waitstatus_to_exitcode(status) in ENDED
    assert json.loads(printed)["results"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_changes_by_signals(case: Case) -> None:
    for number, point in case.signals:
        codes = (interrupt(case, number, each) for each in (*[point] * TRIES, None))
        assert next(code for code in codes if code is not None) in SIGNALS[number]


def ask_in_fork(arguments: Sequence[str], capabilities: Iterable[str] | None) -> PrivilegedAnswer:
    """The answer that nobody has with these capabilities; root's with None."""

    def become() -> None:
        if capabilities is not None:
            become_nobody(map(ALL.index, capabilities))

    answer = forked(become, *arguments)
    RUNS.append(tuple(arguments))
    return read_answer(answer.code, answer.out, answer.err)


_, NEEDED = documented_capabilities()


@pytest.mark.limit(900)
@pytest.mark.parametrize("command", NEEDED)
def test_each_capability_of_the_table_is_needed(command: str) -> None:
    if not os.uname().release.startswith(RELEASE):
        pytest.skip(f"the table is of Linux {RELEASE}*")
    check_row(command, NEEDED[command], ask_in_fork)
