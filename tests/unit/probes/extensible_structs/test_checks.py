# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks of ``audit``, on kernels that are made up."""

from __future__ import annotations

import errno as errnos
from collections.abc import Callable

import pytest

from kprobe_tool.checks import Finding, Status
from kprobe_tool.native import emulator
from kprobe_tool.native.prober import Call, CallAnswer, Memory
from kprobe_tool.native.syscall import PAGE_SIZE
from kprobe_tool.probes.extensible_structs import ask, checks, table
from kprobe_tool.probes.extensible_structs.judge import ReachResult
from kprobe_tool.probes.extensible_structs.model import Reachability

from .fake import FakeProber, Kernel, Openat2Kernel, answer_with, kill_caller


@pytest.fixture
def boot(monkeypatch: pytest.MonkeyPatch) -> Callable[[Kernel], FakeProber]:
    """Make the checks ask a kernel. Returns the prober, which keeps the calls."""

    def boot_kernel(kernel: Kernel) -> FakeProber:
        prober = FakeProber(kernel)

        def new_prober(deadline: float) -> FakeProber:
            assert deadline > prober.deadline - 60, "time for an answer"
            return prober

        monkeypatch.setattr(checks, "Prober", new_prober)
        return prober

    return boot_kernel


Boot = Callable[[Kernel], FakeProber]


@pytest.mark.parametrize(
    ("kernel", "status"),
    [
        (Openat2Kernel(), Status.OK),
        (Openat2Kernel(limit=False), Status.AFFECTED),
        (lambda call: answer_with(errnos.ENOSYS, call), Status.UNKNOWN),
        (lambda call: answer_with(errnos.EPERM, call), Status.UNKNOWN),
        (lambda call: answer_with(errnos.EACCES, call), Status.UNKNOWN),
        (lambda call: answer_with(errnos.ENOTTY, call), Status.UNKNOWN),
        (kill_caller, Status.UNKNOWN),
    ],
)
def test_more_than_a_page_must_be_refused(boot: Boot, kernel: Kernel, status: Status) -> None:
    prober = boot(kernel)
    assert checks.check("openat2-usize-limit").status is status
    (call,) = prober.asked_calls
    assert call.args[3] == 2 * PAGE_SIZE


@pytest.mark.parametrize("name", checks.QUESTIONS)
def test_an_emulator_is_not_the_kernel(boot: Boot, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """QEMU 7.2 leaves the tail of sched_attr as it was on a kernel that clears it: that was "affected" once."""
    monkeypatch.setattr(emulator, "emulator", lambda: "the emulator qemu-aarch64-static")
    prober = boot(Openat2Kernel())
    finding = checks.check(name)
    assert (finding.status, prober.asked_calls) == (Status.UNKNOWN, [])
    assert "the emulator qemu-aarch64-static runs this program" in finding.reason


def test_the_size_and_the_errno_are_evidence_of_the_limit(boot: Boot) -> None:
    boot(Openat2Kernel())
    finding = checks.check("openat2-usize-limit")
    assert finding.evidence == {"usize": 2 * PAGE_SIZE, "errno": "E2BIG"}


def sched_getattr(*, size: int = 56, clears: bool = True, overruns: bool = False, truncates: bool = True) -> Kernel:
    """A kernel's sched_getattr(), whose struct has ``size`` bytes."""

    def kernel(call: Call) -> CallAnswer:
        memory, usize = call.args[1], call.args[2]
        assert isinstance(memory, Memory)
        assert isinstance(usize, int)
        written = size if overruns else min(size, usize)
        size_told = min(size, usize) if truncates else size
        data = size_told.to_bytes(4, "little") + bytes(written - 4)
        if clears and usize > size:
            data = data.ljust(usize, b"\0")
        return answer_with(0, call, data + memory.data[len(data) :])

    return kernel


def scribble(call: Call) -> CallAnswer:
    """A kernel that neither clears the tail nor leaves it as it was: it writes one byte of it."""
    answer = sched_getattr(clears=False)(call)
    return answer_with(0, call, answer.memory[0][:-1] + b"\x01")


def leave_a_byte(call: Call) -> CallAnswer:
    """A kernel that clears the tail of a larger struct, except its last byte."""
    answer = sched_getattr()(call)
    return answer_with(0, call, answer.memory[0][:-1] + b"\x01") if call.args[2] == checks.LARGER else answer


@pytest.mark.parametrize(
    ("kernel", "status", "tail"),
    [
        (sched_getattr(), Status.OK, "zero"),
        (sched_getattr(size=48), Status.OK, "zero"),
        (sched_getattr(clears=False), Status.AFFECTED, "untouched"),
        (scribble, Status.AFFECTED, "other"),
        (leave_a_byte, Status.AFFECTED, "other"),
        (sched_getattr(overruns=True, truncates=True), Status.AFFECTED, "zero"),
        (sched_getattr(truncates=False), Status.AFFECTED, "zero"),
    ],
)
def test_the_tail_must_be_cleared_and_the_size_told(boot: Boot, kernel: Kernel, status: Status, tail: str) -> None:
    boot(kernel)
    finding = checks.check("copy-struct-to-user")
    assert (finding.status, finding.evidence["tail"]) == (status, tail)


def test_what_was_written_is_evidence_of_the_copy(boot: Boot) -> None:
    boot(sched_getattr(overruns=True))
    assert checks.check("copy-struct-to-user").evidence == {
        "size": 56,
        "size_told_to_smaller": 48,
        "tail": "zero",
        "written_beyond_smaller": True,
    }


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("errno", [errnos.EPERM, errnos.EIO])
def test_a_copy_that_fails_once_is_unknown(boot: Boot, which: int, errno: int) -> None:
    calls: list[Call] = []

    def kernel(call: Call) -> CallAnswer:
        calls.append(call)
        return answer_with(errno, call) if len(calls) == which + 1 else sched_getattr()(call)

    boot(kernel)
    finding = checks.check("copy-struct-to-user")
    assert finding.status is Status.UNKNOWN
    assert errnos.errorcode[errno] in finding.reason


def test_a_copy_that_is_killed_is_unknown(boot: Boot) -> None:
    boot(kill_caller)
    assert checks.check("copy-struct-to-user").status is Status.UNKNOWN


def check_reachability(monkeypatch: pytest.MonkeyPatch, **unusual: Reachability) -> Finding:
    """The finding where all system calls answer except these."""
    monkeypatch.setattr(
        ask,
        "ask_reach",
        lambda entry, prober, filtered: ReachResult(unusual.get(entry.name, Reachability.YES)),
    )
    return checks.check("extensible-struct-reachability")


@pytest.mark.parametrize(
    ("unusual", "status", "reason"),
    [
        ({}, Status.OK, f"No seccomp filter blocks any of the {len(table.NAMES)} system calls probed."),
        (
            {"openat2": Reachability.BLOCKED, "bpf": Reachability.BLOCKED, "clone3": Reachability.UNKNOWN},
            Status.AFFECTED,
            "A seccomp filter keeps programs from using openat2, bpf.",
        ),
        (
            {"clone3": Reachability.UNKNOWN, "statmount": Reachability.ABSENT},
            Status.UNKNOWN,
            "It cannot be told whether clone3 is blocked by a seccomp filter.",
        ),
        (
            {"statmount": Reachability.ABSENT, "landlock_create_ruleset": Reachability.DISABLED},
            Status.OK,
            f"No seccomp filter blocks any of the {len(table.NAMES)} system calls probed. "
            "This kernel does not have statmount. "
            "The settings of this host refuse landlock_create_ruleset.",
        ),
    ],
)
def test_calls_that_a_filter_blocks_are_named(
    monkeypatch: pytest.MonkeyPatch, unusual: dict[str, Reachability], status: Status, reason: str
) -> None:
    finding = check_reachability(monkeypatch, **unusual)
    assert (finding.status, finding.reason) == (status, reason)
    every = dict.fromkeys(table.NAMES, "yes") | {name: reach.value for name, reach in unusual.items()}
    assert finding.evidence["reachable"] == every
