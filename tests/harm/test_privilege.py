# SPDX-License-Identifier: GPL-2.0-or-later
"""SECURITY.md names the least privilege: with these capabilities a command answers as with all, with fewer not."""

from __future__ import annotations

import os
import platform
import re
import shutil

import pytest

from ..skips import skip
from .privilege import COMMANDS, SECURITY, ask, documented_capabilities, own_capabilities, setpriv_command

ROWS = re.findall(r"^\| `(.*?)` \|", SECURITY.read_text(encoding="utf-8"), re.MULTILINE)
RELEASE = "6.18."
"""The kernel that the table is of."""


@pytest.mark.parametrize("command", ROWS)
def test_each_capability_of_the_table_is_needed(command: str) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        skip("giving capabilities to nobody takes root and setpriv")
    if not platform.release().startswith(RELEASE):
        skip(f"the table is of Linux {RELEASE}*")
    needed = documented_capabilities(command)
    whole = ask(COMMANDS[command], setpriv_command(own_capabilities()))
    assert ask(COMMANDS[command], setpriv_command(needed)) == whole
    for name in sorted(needed):
        assert ask(COMMANDS[command], setpriv_command(needed - {name})) != whole, name
