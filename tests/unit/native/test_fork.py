# SPDX-License-Identifier: GPL-2.0-or-later
"""Children on hosts that refuse what they need; each in a program of its own, which is changed for good."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kprobe_tool.native import bounded
from kprobe_tool.native.child import Child, Request
from kprobe_tool.native.prober import Call, Memory, Prober
from tests import denied

ROOT = Path(__file__).parents[3]

ASK = """
import os, sys, time
from kprobe_tool.native import bounded, tracefs
from kprobe_tool.native.child import Child
from kprobe_tool.native.fork import CannotStart
from tests.denied import deny

def ask():
    with Child(lambda request: {"pid": os.getpid(), "data": request["data"]}, time.monotonic() + 60) as child:
        answer = child.ask(data="x" * 100)
        assert answer == {"pid": child.pid, "data": "x" * 100}
    answers = [answer for _, answer in bounded.run_each(range(3), lambda item: item * 2, 60)]
    if isinstance(answers[0], OSError):
        raise answers[0]
    assert answers == [0, 2, 4], answers
    with tracefs.undo_at_exit(lambda: None):
        pass
    print("asked")

def refused():
    try:
        ask()
    except CannotStart as error:
        print(type(error).__name__, error.filename, error.strerror)
"""


def run(code: str, before: Callable[[], object] | None = None) -> str:
    """The output of a program that begins with ASK; it must end well, and print nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", ASK + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=before,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["recvfrom", "newfstatat"])
def test_a_child_does_without_calls_it_does_not_need(name: str) -> None:
    denied.require_numbers()
    # The parent imports it where the first child is started.
    assert run(f"import pickle; deny('{name}'); ask()") == "asked"


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("prctl", "child process Operation not permitted: prctl(PR_SET_PDEATHSIG)"),
        ("rt_sigaction", "child process: rt_sigaction(2) Operation not permitted"),
        ("socketpair", "child process Operation not permitted"),
    ],
)
def test_a_child_that_cannot_be_set_up_is_one_error(name: str, printed: str) -> None:
    """The error is the parent's; the child prints nothing."""
    denied.require_numbers()
    assert run(f"deny('{name}'); refused()").startswith(f"CannotStart {printed}")


def test_nothing_is_made_without_a_child_to_undo_it() -> None:
    denied.require_numbers()
    code = """
deny("setsid")
try:
    with tracefs.undo_at_exit(lambda: None):
        print("reached")
except CannotStart as error:
    print(error.filename)
"""
    assert run(code) == "child process: setsid(2)"


def test_items_without_a_process_are_errors() -> None:
    """The items for which a process could be made before are answered."""
    denied.require_numbers()
    code = """
import errno
asked = bounded.run_each([1, 2, 3], lambda item: os._exit(0) if item == 1 else item, 60)
_, first = next(asked)
deny("clone", "fork", error=errno.EAGAIN)
print(type(first).__name__, *(f"{type(answer).__name__} {answer.errno == errno.EAGAIN}" for _, answer in asked))
"""
    assert run(code) == "ChildProcessError CannotStart True CannotStart True"


def test_missing_memory_costs_its_item_only() -> None:
    """A MemoryError is the host's error, not a bug."""
    answers = [answer for _, answer in bounded.run_each([1, 1 << 60, 2], lambda item: len(bytes(item)), 60)]
    assert [type(answer) for answer in answers] == [int, OSError, int]
    assert str(answers[1]) == "[Errno 12] Cannot allocate memory"

    def allocate(request: Request) -> Request:
        return {"length": len(bytes(request["size"]))}

    with Child(allocate, time.monotonic() + 60) as child:
        with pytest.raises(OSError, match="Cannot allocate memory"):
            child.ask(size=1 << 60)
        assert child.ask(size=1) == {"length": 1}


def test_without_memory_maps_there_is_an_answer_or_one_error() -> None:
    """Which of both depends on the memory that Python has by then; there is no traceback."""
    denied.require_numbers()
    assert run("import errno; deny('mmap', error=errno.ENOMEM); refused()").split()[0] in {"asked", "CannotStart"}


def test_children_are_asked_where_sigchld_is_ignored() -> None:
    """Some init systems and wrappers of cron jobs leave it so."""
    assert run("ask()", lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)) == "asked"


def test_children_are_asked_in_a_thread_where_sigchld_is_ignored() -> None:
    """A thread cannot undo it: how a child ended is not known then, and nothing breaks."""
    code = "import threading; thread = threading.Thread(target=ask); thread.start(); thread.join()"
    assert run(code, lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)) == "asked"


def test_children_are_asked_with_many_descriptors_open() -> None:
    """There are more of them than select(2) takes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("not so many open files here")
    code = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
kept = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
ask()
"""
    assert run(code) == "asked"


def test_children_are_asked_with_stderr_closed() -> None:
    assert run("os.close(2); ask()") == "asked"


def test_large_messages_cross_whole() -> None:
    """1 MiB as hexadecimal digits is more than a socket takes at once."""
    pages = Memory(bytes(range(256)) * 4096, ((0, b"\xff" * (1 << 20)),))
    with Prober(time.monotonic() + 60) as prober:
        answer = prober.ask(Call("pidfd_open", (0x7FFFFFFF, pages)))
        assert answer.memory[0][8:] == pages.data[8:]
        assert answer.memory[1] == pages.pointers[0][1]
