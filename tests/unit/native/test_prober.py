# SPDX-License-Identifier: GPL-2.0-or-later
"""Raw calls: their memory, and a child that may die. All calls here are harmless."""

from __future__ import annotations

import os
import resource
import time

import pytest

from kprobe_tool.native import prober
from kprobe_tool.native.child import Child, Died, Request
from kprobe_tool.native.prober import Call, Memory, Prober


def test_a_number_that_is_not_known_is_an_error() -> None:
    with pytest.raises(OSError, match="number not known"):
        prober.perform(Call("no_such_call", ()))


def test_memory_and_pointers_come_back() -> None:
    """Whatever the bytes are."""
    memory = Memory(bytes(range(256)), ((8, b"\xff\0"),))
    assert prober.unpack(prober.pack(memory)) == memory
    assert prober.unpack(-1) == -1


def test_a_child_answers_and_leaves_no_descriptor() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with Prober(time.monotonic() + 10) as asking:
        answer = asking.ask(Call("pidfd_open", (0x7FFFFFFF, 0), opens=True))
        assert answer.errno != 0
        assert answer.signal is None
        opened = asking.ask(Call("pidfd_open", (os.getpid(), 0), opens=True))
        assert opened.errno == 0
        assert asking.calls == 2
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_child_writes_no_core_file() -> None:
    def limit(request: Request) -> Request:
        prober.limit_core()
        return {"limit": resource.getrlimit(resource.RLIMIT_CORE)[0]}

    with Child(limit, time.monotonic() + 10) as child:
        assert child.ask()["limit"] <= prober.NO_CORE


def test_the_signal_of_a_child_s_death_is_known() -> None:
    def die(request: Request) -> Request:
        os.kill(os.getpid(), request["signal"])
        return {}

    with Child(die, time.monotonic() + 10) as child:
        with pytest.raises(Died) as death:
            child.ask(signal=31)
        assert death.value.signal == 31
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, 0)


def test_a_child_that_leaves_died_of_no_signal() -> None:
    def leave(request: Request) -> Request:
        os._exit(0)

    with Child(leave, time.monotonic() + 10) as child, pytest.raises(Died) as death:
        child.ask()
    assert death.value.signal is None
