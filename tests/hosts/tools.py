# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of Debian packages, unpacked below the virtual environment so that no server of theirs is started."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from ..skips import skip

UNPACKED = Path(sys.prefix) / "unpacked"
LIBRARIES = ":".join(str(UNPACKED / place) for place in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"))


def find(program: str) -> str:
    """The path of a program; without it the calling test is skipped."""
    path = f"{UNPACKED}/usr/bin:{UNPACKED}/usr/sbin:{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    found = shutil.which(program, path=path)
    if found is None:
        skip(f"{program} is not installed; 'make test-hosts' unpacks it")
    return found
