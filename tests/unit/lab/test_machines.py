# SPDX-License-Identifier: GPL-2.0-or-later
"""Which machine a kernel is for, and what this one is."""

import platform

import pytest

from kprobe_tool.lab import boot, machines
from kprobe_tool.lab.machines import MACHINES, OWN, architecture_of, find_own


def test_a_release_names_its_machine() -> None:
    assert [architecture_of(f"6.1.0-56-{name}") for name in MACHINES] == list(MACHINES)
    assert architecture_of("6.18.0-custom") == architecture_of("6.12.0-55.el10.x86_64") == OWN


def test_a_machine_has_debian_s_name() -> None:
    assert [find_own(name) for name in ("x86_64", "aarch64", "riscv64")] == ["amd64", "arm64", "riscv64"]
    assert find_own(platform.machine()) == OWN


@pytest.mark.parametrize("name", ["s390x", "riscv64"])
def test_a_machine_that_boots_none_of_its_own_says_so(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(machines, "OWN", name)
    assert boot.missing() == [f"an x86-64 or arm64 machine (this is {name})"]


def test_an_arm64_wants_the_emulator_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "OWN", "arm64")
    monkeypatch.setattr(boot, "_path", lambda: "/nonexistent")
    assert {"QEMU (package qemu-system-arm)", "binutils"} <= {*boot.missing("arm64")}
