# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of Debian packages, unpacked below the virtual environment so that no server of theirs is started."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from pathlib import Path

from ..skips import skip

UNPACKED = Path(sys.prefix) / "unpacked"
LIBRARIES = ":".join(str(UNPACKED / place) for place in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"))
WAIT = 60
"""Seconds for a server to start: it takes one on an idle machine."""


def find(program: str) -> str:
    """The path of a program; without it the calling test is skipped."""
    places = [UNPACKED / "usr/bin", UNPACKED / "usr/sbin", UNPACKED / "usr/lib/nagios/plugins"]
    path = ":".join([*map(str, places), os.environ.get("PATH", os.defpath), "/usr/sbin"])
    found = shutil.which(program, path=path)
    if found is None:
        skip(f"{program} is not installed; 'make test-hosts' unpacks it")
    return found


def wait_until_listening(address: str, port: int, begin: bytes = b"") -> None:
    """Until a server takes connections, and begins as it should."""
    end = time.monotonic() + WAIT
    while True:
        try:
            with socket.create_connection((address, port), timeout=WAIT) as connection:
                connection.settimeout(WAIT)
                if connection.recv(len(begin)) == begin:
                    return
        except OSError as error:
            if time.monotonic() > end:
                raise AssertionError(f"{address}:{port}: not after {WAIT} s: {error}") from error
        time.sleep(0.1)
