# SPDX-License-Identifier: GPL-2.0-or-later
"""What the checks of ``audit`` say, on kernels that are made up."""

from __future__ import annotations

import errno as errnos

import pytest

from kprobe_tool.checks import Finding, Status
from kprobe_tool.native import host
from kprobe_tool.native.prober import Answer, Call, Memory
from kprobe_tool.probes.extensible_structs import checks

from .fake import FakeProber, Kernel, Openat2Kernel, killed, says


def boot(monkeypatch: pytest.MonkeyPatch, kernel: Kernel) -> None:
    monkeypatch.setattr(checks, "Prober", lambda deadline: FakeProber(kernel))


@pytest.mark.parametrize(
    ("kernel", "status"),
    [
        (Openat2Kernel(), Status.OK),
        (Openat2Kernel(limit=False), Status.AFFECTED),
        (lambda call: says(errnos.ENOSYS, call), Status.UNKNOWN),
        (lambda call: says(errnos.ENOTTY, call), Status.UNKNOWN),
        (killed, Status.UNKNOWN),
    ],
)
def test_usize_limit(monkeypatch: pytest.MonkeyPatch, kernel: Kernel, status: Status) -> None:
    boot(monkeypatch, kernel)
    assert checks.check_usize_limit().status is status


def sched_getattr(*, size: int = 56, clears: bool = True, overruns: bool = False) -> Kernel:
    """The kernel's side of sched_getattr(): its struct has ``size`` bytes."""

    def kernel(call: Call) -> Answer:
        memory, usize = call.args[1], call.args[2]
        assert isinstance(memory, Memory)
        assert isinstance(usize, int)
        written = size if overruns else min(size, usize)
        data = written.to_bytes(4, "little") + bytes(written - 4)
        if clears and usize > size:
            data = data.ljust(usize, b"\0")
        return says(0, call, data + memory.data[len(data) :])

    return kernel


@pytest.mark.parametrize(
    ("kernel", "status", "tail"),
    [
        (sched_getattr(), Status.OK, "zero"),
        (sched_getattr(size=48), Status.OK, "zero"),
        (sched_getattr(clears=False), Status.AFFECTED, "untouched"),
        (sched_getattr(overruns=True), Status.AFFECTED, "zero"),
    ],
)
def test_copy_to_user(monkeypatch: pytest.MonkeyPatch, kernel: Kernel, status: Status, tail: str) -> None:
    boot(monkeypatch, kernel)
    finding = checks.check_copy_to_user()
    assert (finding.status, finding.evidence["tail"]) == (status, tail)


@pytest.mark.parametrize(
    "kernel", [killed, lambda call: says(errnos.EPERM, call), lambda call: says(errnos.EIO, call)]
)
def test_copy_to_user_unknown(monkeypatch: pytest.MonkeyPatch, kernel: Kernel) -> None:
    boot(monkeypatch, kernel)
    assert checks.check_copy_to_user().status is Status.UNKNOWN


def reachability(monkeypatch: pytest.MonkeyPatch, kernel: Kernel, *, filtered: bool) -> Finding:
    boot(monkeypatch, kernel)
    monkeypatch.setattr(host, "status_field", lambda name: "2" if filtered else "0")
    return checks.check_reachability()


def test_reachability(monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = reachability(monkeypatch, lambda call: says(errnos.EPERM, call), filtered=True)
    assert blocked.status is Status.AFFECTED
    assert "openat2" in blocked.reason
    assert reachability(monkeypatch, lambda call: says(errnos.EPERM, call), filtered=False).status is Status.UNKNOWN
    absent = reachability(monkeypatch, lambda call: says(errnos.ENOSYS, call), filtered=False)
    assert absent.status is Status.OK
    assert "this kernel has no openat2" in absent.reason
