# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/sched.h: clone flags, and namespaces a thread can leave and enter. linux/prctl.h: dying with the parent."""

from __future__ import annotations

import ctypes
import os
import signal

from kprobe_tool.native.libc import announce, libc, oserror

# linux/sched.h
CLONE_NEWTIME = 0x00000080
CLONE_VM = 0x00000100
CLONE_FS = 0x00000200
CLONE_FILES = 0x00000400
CLONE_SIGHAND = 0x00000800
CLONE_PIDFD = 0x00001000
CLONE_PTRACE = 0x00002000
CLONE_VFORK = 0x00004000
CLONE_PARENT = 0x00008000
CLONE_THREAD = 0x00010000
CLONE_NEWNS = 0x00020000
CLONE_SYSVSEM = 0x00040000
CLONE_SETTLS = 0x00080000
CLONE_PARENT_SETTID = 0x00100000
CLONE_CHILD_CLEARTID = 0x00200000
CLONE_DETACHED = 0x00400000
CLONE_UNTRACED = 0x00800000
CLONE_CHILD_SETTID = 0x01000000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_IO = 0x80000000
CLONE_CLEAR_SIGHAND = 1 << 32
CLONE_INTO_CGROUP = 1 << 33
CLONE_AUTOREAP = 1 << 34
CLONE_NNP = 1 << 35
CLONE_PIDFD_AUTOKILL = 1 << 36
CLONE_EMPTY_MNTNS = 1 << 37

TASK_COMM_LEN = 16

# linux/prctl.h
PR_SET_PDEATHSIG = 1

libc.setns.argtypes = (ctypes.c_int, ctypes.c_int)
libc.unshare.argtypes = (ctypes.c_int,)


def setns(fd: int, nstype: int) -> None:
    """setns(2): move the calling thread, and only it, into the namespace behind ``fd``."""
    announce("setns(%d, %#x)", fd, nstype)
    if libc.setns(fd, nstype) < 0:
        oserror("setns(2)", needs="CAP_SYS_ADMIN in both user namespaces")


def unshare(flags: int) -> None:
    """unshare(2): give the calling process namespaces of its own."""
    announce("unshare(%#x)", flags)
    if libc.unshare(flags) < 0:
        oserror("unshare(2)", needs="CAP_SYS_ADMIN or unprivileged user namespaces")


def die_with_parent() -> None:
    """prctl(PR_SET_PDEATHSIG, SIGKILL): no child of ours outlives us, also when we are killed with SIGKILL."""
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) < 0:
        oserror("prctl(PR_SET_PDEATHSIG)")


def unshare_netns() -> None:
    """Take the calling process into a user and a network namespace of its own; both end with it.

    Root where user namespaces are off takes the network namespace alone. Raises OSError.
    """
    try:
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
    except OSError:
        if os.geteuid() != 0:
            raise
        unshare(CLONE_NEWNET)
