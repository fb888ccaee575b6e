# SPDX-License-Identifier: GPL-2.0-or-later
"""Which commands work, by what was found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kprobe_tool.commands.doctor import reason
from kprobe_tool.native import host, kmod
from kprobe_tool.probes import doctor
from kprobe_tool.probes.doctor import COMMANDS, CommandNeeds, Item, Works, status_of

from ..test_lazy import ALL_COMMANDS


def items(**available: bool | None) -> dict[str, Item]:
    return {name: Item(name, there, "as it is") for name, there in available.items()}


@pytest.mark.parametrize(
    ("available", "works", "missing"),
    [
        ({"a": True, "b": False, "c": True}, Works.YES, []),
        ({"a": False, "b": True, "c": True}, Works.YES, []),
        ({"a": False, "b": False, "c": True}, Works.NO, ["a", "b"]),
        ({"a": False, "b": None, "c": True}, Works.UNKNOWN, ["b"]),
        ({"a": True, "b": True, "c": False}, Works.PARTLY, ["c"]),
        ({"a": True, "b": True, "c": None}, Works.PARTLY, ["c"]),
        ({"a": False, "b": False, "c": False}, Works.NO, ["a", "b"]),
    ],
)
def test_a_command_works_with_what_it_needs(
    available: dict[str, bool | None], works: Works, missing: list[str]
) -> None:
    status = status_of(CommandNeeds("x", needs=(("a", "b"),), wants=(("c",),)), items(**available))
    assert (status.works, [item.name for item in status.missing]) == (works, missing)


def test_one_need_that_is_missing_is_enough() -> None:
    status = status_of(CommandNeeds("x", needs=(("a",), ("b",))), items(a=None, b=False))
    assert status.works is Works.NO


def test_every_command_is_in_the_table() -> None:
    groups = {path[:-1] for path in ALL_COMMANDS}
    leaves = {" ".join(path) for path in ALL_COMMANDS if path not in groups}
    assert {each.command.partition(" --")[0] for each in COMMANDS} == leaves


def test_what_commands_need_is_looked_at() -> None:
    names = {item.name for item in doctor.items()}
    used = {name for each in COMMANDS for choice in (*each.needs, *each.wants) for name in choice}
    assert used <= names


def test_root_is_not_told_to_become_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "effective_capabilities", frozenset)
    for uid, words in ((0, "give the capability to this container"), (1000, "run as root")):
        monkeypatch.setattr("os.geteuid", lambda uid=uid: uid)
        hint = doctor.capabilities().hint
        assert hint is not None and words in hint


def test_a_module_that_cannot_be_looked_for_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kmod, "MODULES", str(tmp_path))
    assert doctor.modprobe_hint("tls", "kernel TLS") is None
    dependencies = tmp_path / os.uname().release / "modules.dep"
    dependencies.mkdir(parents=True)
    hint = f"whether there is a module to load is unknown: {dependencies}: Is a directory (EISDIR)"
    assert doctor.modprobe_hint("tls", "kernel TLS") == hint


@pytest.mark.parametrize(
    ("there", "works", "elsewhere"),
    [(True, Works.YES, ()), (False, Works.PARTLY, ("--from",)), (None, Works.UNKNOWN, ("--from",))],
)
def test_what_asks_no_kernel_works_everywhere(there: bool | None, works: Works, elsewhere: tuple[str, ...]) -> None:
    status = status_of(CommandNeeds("x", needs=(("a",),), elsewhere=("--from",)), items(a=there))
    assert (status.works, status.elsewhere) == (works, elsewhere)


def test_without_a_controller_captured_trees_are_read_all_the_same() -> None:
    there = {name: Item(name, True, "as it is") for name in ("capabilities", "btf")}
    command = next(each for each in COMMANDS if each.command == "nvme-queues")
    status = status_of(command, {**there, "nvme": Item("nvme", False, "no controller")})
    assert reason(status) == "nvme (no controller); works with --simulate, --sysfs or --from-sos"


def test_without_the_kernel_s_types_sk_msg_is_not_checked() -> None:
    """As on Debian's s390x, where audit said "unknown" of what doctor said works."""
    wanted = {name for command in COMMANDS for choice in (*command.needs, *command.wants) for name in choice}
    found = {name: Item(name, name != "btf", "as it is") for name in wanted}
    works = {command.command: status_of(command, found).works for command in COMMANDS}
    without = {name: value for name, value in works.items() if value is not Works.YES}
    assert without == {
        "audit": Works.PARTLY,
        "check-fields": Works.PARTLY,
        "nvme-queues": Works.PARTLY,
        "skmsg check": Works.NO,
        "skmsg watch": Works.NO,
        "verifier-log watch": Works.NO,
    }
