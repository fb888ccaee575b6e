# SPDX-License-Identifier: GPL-2.0-or-later
"""Running something as a user without any privilege, wherever the checkout and its Python are."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from kprobe_tool.lab.boot import closed_parent
from kprobe_tool.native.libc import libc, oserror

from .skips import skip

NOBODY = 65534
ROOT = Path(__file__).parents[1]

# Nobody must get to the checkout and the interpreter although a closed directory, such as root's home, is on the way.
# In a mount namespace of the command's own, that directory is covered by an empty one with just these in it.
COVER = """\
mount -t tmpfs tmpfs /mnt
number=0
for directory in {directories}; do
    number=$((number + 1))
    mkdir /mnt/$number
    mount --bind "$directory" /mnt/$number
done
for directory in {closed}; do
    mount -t tmpfs -o mode=755 tmpfs "$directory"
done
number=0
for directory in {directories}; do
    number=$((number + 1))
    mkdir -p "$directory"
    mount --bind /mnt/$number "$directory"
done
umount -l /mnt
cd /
exec "$@"
"""


# linux/prctl.h, linux/capability.h
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
LINUX_CAPABILITY_VERSION_3 = 0x20080522


def become_nobody(capabilities: Iterable[int] = ()) -> None:
    """This process becomes nobody, with these capabilities, as numbers, and without any way to others of root's."""
    if libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0):
        oserror("prctl(2)")
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    kept = sum(1 << capability for capability in capabilities)
    low, high = kept & 0xFFFFFFFF, kept >> 32
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    if libc.capset(header, data):
        oserror("capset(2)")
    # Lost with the user id until the next execve(2): without it the process's files in /proc are root's.
    if libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0):
        oserror("prctl(2)")


def command_as_nobody(argv: Sequence[str]) -> list[str]:
    """A command line that runs ``argv`` as nobody; skips the test where we may not become that."""
    if os.geteuid() != 0:
        skip("becoming another user needs root")
    for tool in ("setpriv", "unshare"):
        if shutil.which(tool) is None:
            skip(f"{tool} of util-linux is not installed")
    return command_within_reach(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *argv])


def command_within_reach(command: Sequence[str]) -> list[str]:
    """A command line that runs root's ``command`` where any user gets to the checkout and the interpreter."""
    needed = {Path(path).resolve() for path in (ROOT, sys.prefix, sys.base_prefix)}
    hidden = {path: parent for path in needed if (parent := closed_parent(path)) is not None}
    if not hidden:
        return [*command]
    probe = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True, text=True)
    if probe.returncode != 0:
        skip(f"a closed directory is on the way to this checkout, and no mount namespace to cover it: {probe.stderr}")
    directories, closed = (shlex.join(sorted(set(map(str, paths)))) for paths in (hidden, hidden.values()))
    script = COVER.format(directories=directories, closed=closed)
    return ["unshare", "--mount", "sh", "-euc", script, "sh", *command]
