"""Processes that must end."""

import time
from pathlib import Path


def ends(pid: int, seconds: float = 10) -> bool:
    """Whether a process is gone before the time is up; dead counts, whoever is slow to reap it."""
    end = time.monotonic() + seconds
    while alive(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
