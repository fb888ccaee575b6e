# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers of system calls, and calls that change nothing."""

from __future__ import annotations

import ctypes
import errno as errnos
import os

import pytest

from kprobe_tool.native import syscall


def test_numbers_are_those_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscall, "machine_name", lambda: "x86_64")
    assert syscall.number("openat2") == 437
    assert syscall.number("bpf") == 321
    assert syscall.number("mkdir") == 83
    monkeypatch.setattr(syscall, "machine_name", lambda: "aarch64")
    assert syscall.number("bpf") == 280
    assert syscall.number("mkdir") is None, "only mkdirat"
    monkeypatch.setattr(syscall, "SIZE_T_BITS", 32)
    assert syscall.number("bpf") is None, "a 32-bit program has another one"
    assert syscall.number("openat2") == 437
    monkeypatch.setattr(syscall, "machine_name", lambda: "alpha")
    assert syscall.number("openat2") is None


def test_numbers_of_mips_are_those_of_n64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscall, "machine_name", lambda: "mips64")
    assert syscall.number("openat2") == 5437
    assert syscall.number("ioctl") == 5015
    assert syscall.number("no_such_call") is None
    monkeypatch.setattr(syscall, "SIZE_T_BITS", 32)
    assert syscall.number("openat2") is None, "o32 and n32 count from different numbers on"


def test_a_number_that_is_not_known_is_enosys() -> None:
    with pytest.raises(OSError, match="number not known") as error:
        syscall.call("no_such_call")
    assert error.value.errno == errnos.ENOSYS


def test_a_call_returns_its_value() -> None:
    fd = syscall.call("pidfd_open", os.getpid(), 0)
    assert fd > 2
    os.close(fd)


def test_a_call_that_fails_sets_errno() -> None:
    assert syscall.call("pidfd_open", 0x7FFFFFFF) == -1
    assert ctypes.get_errno() == errnos.ESRCH
