# SPDX-License-Identifier: GPL-2.0-or-later
"""The records of bpf/verifier_watch.c."""

from __future__ import annotations

import ctypes

from kprobe_tool.native.programs import verifier_watch


def test_records_have_the_sizes_that_c_gives_them() -> None:
    assert ctypes.sizeof(verifier_watch.key) == 24
    assert ctypes.sizeof(verifier_watch.header) == 24 + 4 * 8 + 14 * 4 + 8 + 2 * 4 + 144 + 16 + 32
    assert ctypes.sizeof(verifier_watch.message) == 24 + 10 * 8 + 10 * 128 + 256
