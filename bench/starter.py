# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a program and prints its CPU seconds, wall seconds, largest resident set in bytes, and wait status.

Imports next to nothing, since the resident set of whoever starts a program counts as the program's.
"""

import os
import sys
import time


def main() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    before = time.monotonic()
    files = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1)]
    pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=files)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - before
    print(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024, status)


if __name__ == "__main__":
    main()
