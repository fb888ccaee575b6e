# SPDX-License-Identifier: GPL-2.0-or-later
"""Symbols of this kernel."""

from __future__ import annotations

import platform

from kprobe_tool.native import kallsyms

from ..skips import skip


def test_weak_symbols_are_not_implemented() -> None:
    """Weak symbols stand for system calls that are not there."""
    if platform.machine() != "x86_64":
        skip("other architectures have other names")
    with open("/proc/kallsyms", encoding="utf-8") as file:
        weak = {line.split()[2] for line in file if line.split()[1] in {"W", "w"} and " __x64_sys_" in line}
    found = kallsyms.implemented_symbols({"__x64_sys_openat", "__x64_sys_nonsense", *weak})
    assert found == {"__x64_sys_openat"}
