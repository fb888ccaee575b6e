# SPDX-License-Identifier: GPL-2.0-or-later
"""A library that ends the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kprobe_tool.errors import ExitCode

PROGRAM = """
from kprobe_tool.errors import Error
from kprobe_tool.native.libc import libc
from kprobe_tool.native.noise import capture_output, ending_with

with ending_with(lambda: Error("x", f"it says: {output()}")), capture_output() as output:
    libc.dprintf(2, b"no\x1b more")
    INSIDE
AFTER
"""


@pytest.mark.parametrize(
    ("inside", "after", "code", "line"),
    [
        ("libc.exit(1)", "", ExitCode.CANNOT_TELL, "kprobe-tool: x: it says: no? more\n"),
        ("pass", "", 0, ""),
        ("pass", "libc.exit(5)", 5, ""),
        ("raise SystemExit(6)", "", 6, ""),
    ],
)
def test_only_an_exit_meanwhile_is_told(inside: str, after: str, code: int, line: str) -> None:
    argv = [sys.executable, "-c", PROGRAM.replace("INSIDE", inside).replace("AFTER", after)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, line)
