# SPDX-License-Identifier: GPL-2.0-or-later
"""One line about what libbcc and the kernel wrote."""

from __future__ import annotations

import errno as errnos

import pytest

from kprobe_tool.native import bcc, host

# As Linux 6.1 and 7.2 word it.
NO_READ_6_1 = "0: (85) call bpf_probe_read_kernel#113\nunknown func bpf_probe_read_kernel#113\nprocessed 30 insns\n"
NO_READ_7_2 = "program of this type cannot use helper bpf_probe_read_kernel#113\nprocessed 30 insns (limit 1000000)\n"
NO_SOCKMAP = "could not open bpf map: sockets, error: Invalid argument\n"
REFUSED = "bpf: Failed to load program: Permission denied\n; return *x;\nR0 !read_ok\nprocessed 1 insns\n"
NO_RIGHT = "could not open bpf map: sockets, error: Operation not permitted\n"


@pytest.mark.parametrize("noise", [NO_READ_6_1, NO_READ_7_2])
@pytest.mark.parametrize(
    ("lockdown", "hint"), [("confidentiality", "the kernel is locked down"), ("none", "needs CAP_PERFMON")]
)
def test_kernel_memory_may_not_be_read(noise: str, lockdown: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "lockdown", lambda: lockdown)
    error = bcc.failure("BPF program x.c", errnos.EINVAL, noise)
    assert str(error).startswith(f"BPF program x.c: may not read kernel memory (EPERM); {hint}")


@pytest.mark.parametrize(
    ("number", "noise", "line"),
    [
        (0, NO_SOCKMAP, "x.c: could not open bpf map: sockets, error: Invalid argument; 'kprobe-tool doctor'"),
        (errnos.EACCES, REFUSED, "x.c: R0 !read_ok (EACCES); 'kprobe-tool doctor'"),
        (0, "", "x.c: libbcc does not say why; 'kprobe-tool doctor'"),
        (0, NO_RIGHT, "x.c: Operation not permitted (EPERM); needs CAP_BPF"),
    ],
)
def test_one_line(number: int, noise: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "lockdown", lambda: None)
    monkeypatch.setattr(host, "in_initial_user_namespace", lambda: True)
    monkeypatch.setattr(host, "effective_capabilities", frozenset)
    told = str(bcc.failure("x.c", number, noise))
    assert told.startswith(line)
    assert "\n" not in told
