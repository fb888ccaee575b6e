# SPDX-License-Identifier: GPL-2.0-or-later
"""landlock_create_ruleset(): rights by ABI number, and a Landlock that was not enabled at boot."""

from __future__ import annotations

import errno as errnos

import pytest

from kprobe_tool.native import host
from kprobe_tool.native.prober import Call, CallAnswer, Memory
from kprobe_tool.native.syscall import PAGE_SIZE
from kprobe_tool.probes.extensible_structs import table
from kprobe_tool.probes.extensible_structs.model import ProbeMethod, Size, Support

from ..fake import FakeProber, answer_with, kill_caller

ENTRY = table.entry("landlock_create_ruleset")
FIELDS = {field.name: field for field in ENTRY.fields}


def kernel(abi: int, size: int = 24) -> FakeProber:
    """As security/landlock/syscalls.c does it; a ruleset that could be made fails the test."""

    def answer(call: Call) -> CallAnswer:
        attr, usize, flags = call.args
        assert isinstance(usize, int)
        if flags == 1 and attr == 0 and usize == 0:
            return CallAnswer(0, abi, ())
        if flags:
            return answer_with(errnos.EINVAL, call)
        assert isinstance(attr, Memory)
        if usize > PAGE_SIZE or any(attr.data[size:usize]):
            return answer_with(errnos.E2BIG, call)
        assert attr.data[:8] == b"\xff" * 8, "a ruleset"
        return answer_with(errnos.EINVAL, call)

    return FakeProber(answer)


def accepted_rights(field: str, abi: int) -> set[str]:
    results = ENTRY.recipe.ask_flags(kernel(abi), FIELDS[field], FIELDS[field].flags, 24)
    assert {result.note for result in results.values()} == {f"ABI {abi}"}
    return {flag.name for flag, result in results.items() if result.accepted is Support.YES}


def test_each_abi_has_its_rights() -> None:
    """Linux's Documentation/userspace-api/landlock.rst, "Previous limitations"."""
    assert len(accepted_rights("handled_access_fs", 1)) == 13
    assert accepted_rights("handled_access_fs", 2) - accepted_rights("handled_access_fs", 1) == {
        "LANDLOCK_ACCESS_FS_REFER"
    }
    assert accepted_rights("handled_access_fs", 3) - accepted_rights("handled_access_fs", 2) == {
        "LANDLOCK_ACCESS_FS_TRUNCATE"
    }
    assert accepted_rights("handled_access_net", 3) == set()
    assert accepted_rights("handled_access_net", 4) == {
        "LANDLOCK_ACCESS_NET_BIND_TCP",
        "LANDLOCK_ACCESS_NET_CONNECT_TCP",
    }
    assert accepted_rights("handled_access_fs", 5) - accepted_rights("handled_access_fs", 4) == {
        "LANDLOCK_ACCESS_FS_IOCTL_DEV"
    }
    assert accepted_rights("scoped", 5) == set()
    assert accepted_rights("scoped", 6) == {"LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET", "LANDLOCK_SCOPE_SIGNAL"}


def test_an_abi_to_come_has_all_that_is_known() -> None:
    assert len(accepted_rights("handled_access_fs", 99)) == len(FIELDS["handled_access_fs"].flags)


def test_a_bit_without_a_name_is_not_asked_about() -> None:
    field = FIELDS["scoped"]
    assert ENTRY.recipe.ask_flags(kernel(6), field, [ENTRY.recipe.unnamed_flag(field, 40)], 24) == {}


def test_without_an_abi_number_rights_are_unknown() -> None:
    field = FIELDS["scoped"]
    for prober in (FakeProber(lambda call: answer_with(errnos.EOPNOTSUPP, call)), FakeProber(kill_caller), kernel(0)):
        (result,) = set(ENTRY.recipe.ask_flags(prober, field, field.flags, 24).values())
        assert (result.accepted, result.method) == (Support.UNKNOWN, ProbeMethod.SELF)
        assert result.note == "the kernel did not say which Landlock ABI it has"


@pytest.mark.parametrize("size", [8, 16, 24, 48])
def test_the_size_is_found(size: int) -> None:
    assert ENTRY.recipe.ask_size(kernel(6, size), ENTRY.recipe.sizes) == Size(size, ProbeMethod.E2BIG)


@pytest.mark.parametrize(
    ("modules", "disabled"),
    [("lockdown,capability,landlock,yama", False), ("lockdown,capability,yama", True), (None, None)],
)
def test_landlock_that_was_not_enabled_at_boot_is_disabled(
    modules: str | None, disabled: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "read_line", lambda path: modules)
    assert ENTRY.recipe.is_disabled() is disabled
    assert errnos.EOPNOTSUPP in ENTRY.recipe.disabled_errnos
