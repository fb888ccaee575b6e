# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of system calls: data that must hang together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kprobe_tool.native import syscall
from kprobe_tool.native.prober import Call
from kprobe_tool.native.syscall import PAGE_SIZE
from kprobe_tool.probes.extensible_structs import compare, syscalls, table
from kprobe_tool.probes.extensible_structs.recipe import CHECK_FIELDS, FILL

ALL = list(table.NAMES)


def test_each_file_has_a_name() -> None:
    folder = Path(syscalls.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} == {"__init__", *(name.lower() for name in ALL)}


@pytest.mark.parametrize("name", ALL)
def test_each_system_call_has_a_number(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every machine that native/syscall.py knows has one."""
    entry = table.entry(name)
    for machine in syscall.OF_MACHINE:
        monkeypatch.setattr(syscall, "machine_name", lambda machine=machine: machine)
        for symbol in entry.symbols:
            assert syscall.number(symbol), f"{symbol} on {machine}"


@pytest.mark.parametrize("name", ALL)
def test_the_manual_names_each_system_call(name: str) -> None:
    manual = (Path(__file__).parents[4] / "man" / "kprobe-tool-check-fields.1").read_text()
    known = manual.partition("Known are\n")[2].partition(".PP")[0]
    assert re.search(rf"^\.BR? {name}\b", known, re.MULTILINE)


@pytest.mark.parametrize("name", ALL)
def test_entries_are_in_order(name: str) -> None:
    entry = table.entry(name)
    assert entry.name == name
    assert len({field.name for field in entry.fields}) == len(entry.fields)
    ends = 0
    for field in entry.fields:
        assert compare.version(field.since) >= compare.version(entry.since)
        if field.offset is not None:
            assert field.offset >= ends, "fields in their order"
            ends = field.end
        assert len({flag.name for flag in field.flags}) == len(field.flags)
        assert len({flag.value for flag in field.flags}) == len(field.flags)
        for flag in field.flags:
            assert 0 < flag.value < 1 << field.bits
            assert compare.version(flag.since)


@pytest.mark.parametrize("name", ALL)
def test_names_to_require_are_unambiguous(name: str) -> None:
    """FIELD.FLAG is always one thing, and no flag is named like a field."""
    entry = table.entry(name)
    flags = {flag.name for field in entry.fields for flag in field.flags}
    assert not flags & {field.name for field in entry.fields}


@pytest.mark.parametrize("name", ["openat2", "clone3", "mount_setattr", "setxattrat", "file_setattr"])
def test_check_fields_is_asked_by_the_size(name: str) -> None:
    call = table.entry(name).recipe.check_fields_call(FILL * PAGE_SIZE, CHECK_FIELDS | PAGE_SIZE)
    assert isinstance(call, Call)
    assert CHECK_FIELDS | PAGE_SIZE in call.args


def test_clone3_has_three_reasons_to_fail() -> None:
    """Each probe of a flag asks for pid 1, for a pidfd at no address and for a cgroup that is none."""
    entry = table.entry("clone3")
    for flag in entry.fields[0].flags:
        for bits in entry.recipe.bit_combinations(entry.fields[0], flag, 88):
            call = entry.recipe.flag_call(entry.fields[0], bits, 88)
            assert call.forks
            memory = call.args[0]
            assert not isinstance(memory, int)
            assert memory.pointers == ((64, (1).to_bytes(4, "little")),)
            assert int.from_bytes(memory.data[72:80], "little") == 1
            assert bits & 1 << 33, "CLONE_INTO_CGROUP"
            assert bits & 0x1000 or flag.name == "CLONE_THREAD", "CLONE_PIDFD"
            if bits & 0x100:
                assert int.from_bytes(memory.data[40:48], "little") == 4096, "no stack to share with us"


def test_mount_setattr_is_never_all_zero() -> None:
    """An attr of zeros would be a success."""
    entry = table.entry("mount_setattr")
    for field in entry.fields:
        for flag in field.flags:
            memory = entry.recipe.flag_call(field, flag.value, 32).args[3]
            assert not isinstance(memory, int)
            assert any(memory.data[:24])
