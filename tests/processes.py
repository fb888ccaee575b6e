# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes that must end."""

import threading
import time
from pathlib import Path


def wait_for_end(pid: int, seconds: float = 10) -> bool:
    """Whether a process is gone before the time is up; dead counts, whoever is slow to reap it."""
    end = time.monotonic() + seconds
    while is_alive(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children() -> set[int]:
    """The children that this thread has made, also dead ones: other threads may be booting kernels meanwhile."""
    return set(map(int, Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()))
