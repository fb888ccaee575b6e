# SPDX-License-Identifier: GPL-2.0-or-later
"""SECURITY.md names the least privilege: with these capabilities a command answers as with all, with fewer not."""

from __future__ import annotations

import os
import platform
import shutil

import pytest

from ..skips import skip
from .privilege import ask, check_row, documented_capabilities

NEEDED, _ = documented_capabilities()
RELEASE = "6.18."
"""The kernel that the table is of."""


@pytest.mark.parametrize("command", NEEDED)
def test_each_capability_of_the_table_is_needed(command: str) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        skip("giving capabilities to nobody takes root and setpriv")
    if not platform.release().startswith(RELEASE):
        skip(f"the table is of Linux {RELEASE}*")
    check_row(command, NEEDED[command], ask)
