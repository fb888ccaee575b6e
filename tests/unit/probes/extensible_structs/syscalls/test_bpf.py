# SPDX-License-Identifier: GPL-2.0-or-later
"""bpf(): no command that does anything, the tail of the union before it, and who may not ask."""

from __future__ import annotations

import errno as errnos

import pytest

from kprobe_tool.native import host
from kprobe_tool.native.prober import Call, CallAnswer, Memory
from kprobe_tool.native.syscall import PAGE_SIZE
from kprobe_tool.probes.extensible_structs import table
from kprobe_tool.probes.extensible_structs.model import ProbeMethod, Size

from ..fake import FakeProber, answer_with

RECIPE = table.entry("bpf").recipe
COMMANDS = 40
"""More commands than any kernel has."""


def kernel(size: int) -> FakeProber:
    """bpf() whose union bpf_attr has so many bytes, in the order of kernel/bpf/syscall.c, __sys_bpf()."""

    def answer(call: Call) -> CallAnswer:
        command, attr, usize = call.args
        assert isinstance(command, int) and isinstance(attr, Memory) and isinstance(usize, int)
        assert command > COMMANDS and not command & 1 << 16, "a command that does something"
        if usize > PAGE_SIZE or any(attr.data[size:usize]):
            return answer_with(errnos.E2BIG, call)
        return answer_with(errnos.EINVAL, call)

    return FakeProber(answer)


def test_no_command_reaches_and_a_second_errno_tells_it_from_a_filter() -> None:
    prober = kernel(144)
    assert RECIPE.ask_reach(prober).errno in RECIPE.reach_errnos
    assert prober.ask(RECIPE.second_call()).errno in RECIPE.second_errnos


@pytest.mark.parametrize("size", [8, 120, 144, 152, 168, 200])
def test_the_size_is_found(size: int) -> None:
    assert RECIPE.ask_size(kernel(size), RECIPE.sizes) == Size(size, ProbeMethod.E2BIG)


def test_a_known_size_takes_two_calls() -> None:
    prober = kernel(144)
    RECIPE.ask_size(prober, RECIPE.sizes)
    assert prober.calls == 2


@pytest.mark.parametrize(
    ("sysctl", "initial", "capabilities", "disabled"),
    [
        ("0", False, set(), False),
        ("2", True, {"CAP_BPF"}, False),
        ("1", True, {"CAP_SYS_ADMIN"}, False),
        # Root of a container has its capabilities over a user namespace that bpf(2) does not ask about.
        ("2", False, {"CAP_BPF"}, None),
        ("2", True, {"CAP_NET_ADMIN"}, None),
        (None, True, set(), None),
    ],
)
def test_bpf_is_disabled_by_sysctl_unless_privileged(
    sysctl: str | None,
    initial: bool,
    capabilities: set[str],
    disabled: bool | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host, "read_line", lambda path: sysctl)
    monkeypatch.setattr(host, "in_initial_user_namespace", lambda: initial)
    monkeypatch.setattr(host, "effective_capabilities", lambda: capabilities)
    assert RECIPE.is_disabled() is disabled
