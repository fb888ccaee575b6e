# SPDX-License-Identifier: GPL-2.0-or-later
"""What is not tried on a kernel that it could harm."""

import pytest

from kprobe_tool.native import btf
from kprobe_tool.probes.rds import children
from kprobe_tool.probes.rds.children import connections_hold_namespace


@pytest.mark.parametrize(
    ("release", "hold"),
    [
        ("5.10.0-38-amd64", False),
        ("5.17.15", False),
        ("5.18.0", True),
        ("6.1.0-56-amd64", True),
        ("7.3-rc7", True),
        ("4.19.0", False),
        ("unknown", False),
    ],
)
def test_newer_kernels_hold_the_namespace_of_a_connection(
    release: str, hold: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> btf.Btf:
        raise FileNotFoundError

    monkeypatch.setattr(children, "tune_types", fail)
    assert connections_hold_namespace(release) is hold


@pytest.mark.parametrize(("void", "hold"), [(True, False), (False, True), (None, False)])
def test_a_stable_kernel_shows_its_fix(void: bool | None, hold: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Types:
        def returns_void(self, function: str) -> bool | None:
            return void if function == "rds_tcp_tune" else None

    monkeypatch.setattr(children, "tune_types", Types)
    assert connections_hold_namespace("5.15.0-18-amd64") is hold
