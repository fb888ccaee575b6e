# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/sched.h: namespaces a thread can leave and enter. linux/prctl.h: dying with the parent."""

from __future__ import annotations

import ctypes
import os
import signal

from kprobe_tool.native.libc import libc, oserror

# linux/sched.h
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

# linux/prctl.h
PR_SET_PDEATHSIG = 1

libc.setns.argtypes = (ctypes.c_int, ctypes.c_int)
libc.unshare.argtypes = (ctypes.c_int,)
libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


def setns(fd: int, nstype: int) -> None:
    """setns(2): move the calling thread, and only it, into the namespace behind ``fd``."""
    if libc.setns(fd, nstype) < 0:
        oserror("setns(2)", needs="CAP_SYS_ADMIN in both user namespaces")


def unshare(flags: int) -> None:
    """unshare(2): give the calling process namespaces of its own."""
    if libc.unshare(flags) < 0:
        oserror("unshare(2)", needs="CAP_SYS_ADMIN or unprivileged user namespaces")


def die_with_parent() -> None:
    """prctl(PR_SET_PDEATHSIG, SIGKILL): no child of ours outlives us, also when we are killed with SIGKILL."""
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) < 0:
        oserror("prctl(PR_SET_PDEATHSIG)")


def leave_for_new_netns() -> None:
    """Take the calling process into a user and a network namespace of its own; both end with it.

    Root where user namespaces are off takes the network namespace alone. Raises OSError.
    """
    try:
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
    except OSError:
        if os.geteuid() != 0:
            raise
        unshare(CLONE_NEWNET)
