# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a command line in a room of its own and say what it left there: python room.py OPTIONS -- COMMAND...

It becomes the parent of whatever the command leaves running, and, as root, puts empty file systems over the
directories that programs write to, in a mount namespace of its own. The answer is a line of JSON on descriptor
--report. Only the standard library, so that it runs anywhere; a program of its own, because a mount namespace and
PR_SET_CHILD_SUBREAPER are for good.
"""

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

# linux/prctl.h, linux/sched.h, sys/mount.h
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18

WRITABLE = ("/tmp", "/var", "/run", "/dev/shm")
"""Where programs leave things, beside HOME."""
STICKY = 0o1777
ORPHANS = 20.0
"""Seconds that what a killed command started has to end by itself, once nothing feeds it."""

libc = ctypes.CDLL(None, use_errno=True)


def call_libc(name: str, *arguments: object) -> None:
    if getattr(libc, name)(*arguments):
        raise OSError(ctypes.get_errno(), name)


def mount(source: str, target: str, kind: bytes | None, flags: int) -> None:
    call_libc("mount", os.fsencode(source), os.fsencode(target), kind, ctypes.c_ulong(flags), None)


def cover_directories(home: str, kept: list[str]) -> list[str]:
    """Empty file systems over the writable directories, with what must be seen through them still there."""
    call_libc("unshare", CLONE_NEWNS)
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    covered = [path for path in (*WRITABLE, home) if os.path.isdir(path) and path != "/"]
    handles = {path: os.open(path, os.O_PATH) for path in kept}
    for path in covered:
        mount("tmpfs", path, b"tmpfs", 0)
    if "/var" in covered:
        os.mkdir("/var/tmp")
        os.chmod("/var/tmp", STICKY)
    for path, handle in handles.items():
        if any(Path(path).is_relative_to(above) for above in covered):
            os.makedirs(path, exist_ok=True)
            mount(f"/proc/self/fd/{handle}", path, None, MS_BIND | MS_REC)
        os.close(handle)
    return covered


def list_files(directories: list[str]) -> set[str]:
    found = set()
    for directory in directories:
        for path, names, files in os.walk(directory):
            inside = {name: os.path.join(path, name) for name in names}
            # What stays visible, and what mount(8) keeps for itself.
            names[:] = [name for name, full in inside.items() if not os.path.ismount(full) and full != "/run/mount"]
            found |= {os.path.join(path, name) for name in (*names, *files)}
    return found


def children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def end_survivors() -> list[str]:
    """The command lines of what has not ended by itself, which is ended now."""
    end = time.monotonic() + ORPHANS
    while time.monotonic() < end:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
        except ChildProcessError:
            return []
    names = []
    for pid in children():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        names.append(b" ".join(words).decode(errors="replace")[:200])
        os.kill(pid, signal.SIGKILL)
    return names


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--report", type=int, required=True)
    parser.add_argument("--keep", action="append", default=[], help="a directory that stays visible")
    parser.add_argument("--signal", type=int, default=0)
    parser.add_argument("--after", type=float, default=0, help="seconds until the signal")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()

    call_libc("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    covered = cover_directories(os.path.expanduser("~"), options.keep) if os.geteuid() == 0 else []
    before = list_files(covered)
    os.set_inheritable(options.report, False)
    begin = time.monotonic()
    process = subprocess.Popen(options.command)
    late = False
    if options.signal:
        try:
            process.wait(options.after)
            late = True
        except subprocess.TimeoutExpired:
            process.send_signal(options.signal)
    code = process.wait()
    seconds = time.monotonic() - begin
    answer = {
        "code": code,
        "seconds": seconds,
        "late": late,
        "processes": end_survivors(),
        "files": sorted(list_files(covered) - before),
    }
    with open(options.report, "w", encoding="utf-8") as file:
        json.dump(answer, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
