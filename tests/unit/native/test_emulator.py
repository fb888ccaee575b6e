# SPDX-License-Identifier: GPL-2.0-or-later
"""The signs of an emulator that answers in the kernel's place."""

from __future__ import annotations

import pytest

from kprobe_tool.native.emulator import emulator_of

PYTHON = "/usr/bin/python3.11"


@pytest.mark.parametrize(
    ("real", "machine", "kernel_arch", "found"),
    [
        (PYTHON, "x86_64", "x86_64", None),
        (PYTHON, "x86_64", None, None),
        # 32-bit programs on a 64-bit kernel.
        (PYTHON, "i686", "x86_64", None),
        (PYTHON, "armv8l", "aarch64", None),
        (PYTHON, "ppc", "ppc64", None),
        # The names that QEMU 7.2 showed to a Python of the machine's own kind.
        ("/usr/bin/qemu-x86_64-static", "x86_64", "x86_64", "the emulator qemu-x86_64-static"),
        ("/usr/bin/qemu-aarch64-static", "aarch64", "x86_64", "the emulator qemu-aarch64-static"),
        (PYTHON, "aarch64", "x86_64", "an emulator of aarch64 on x86_64"),
        (PYTHON, "x86_64", "aarch64", "an emulator of x86_64 on aarch64"),
        (PYTHON, "unheard-of", "x86_64", "an emulator of unheard-of on x86_64"),
    ],
)
def test_an_emulator_is_recognised(real: str, machine: str, kernel_arch: str | None, found: str | None) -> None:
    assert emulator_of(PYTHON, real, machine, kernel_arch) == found
