# SPDX-License-Identifier: GPL-2.0-or-later
"""What this host is: uname(2), boot id, capabilities, the switches that decide what may be asked."""

from __future__ import annotations

import os
import re
import time
from functools import cache
from typing import NamedTuple

from kprobe_tool.native.libc import announce, text

# linux/capability.h
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_SYSLOG": 34, "CAP_PERFMON": 38, "CAP_BPF": 39}

SYSCTL_MAX = 4096

PROC_PID_INIT_INO = 0xEFFFFFFC
"""linux/proc_ns.h: the inode of the initial pid namespace, whose pids BPF programs see."""


class Host(NamedTuple):
    """Identity of the host and the kernel that answered."""

    hostname: str
    release: str
    version: str
    arch: str
    boot_id: str | None


def host() -> Host:
    """From uname(2) and /proc/sys/kernel/random/boot_id."""
    names = os.uname()
    return Host(
        hostname=names.nodename,
        release=names.release,
        version=names.version,
        arch=names.machine,
        boot_id=read_line("/proc/sys/kernel/random/boot_id"),
    )


def read_line(path: str) -> str | None:
    """The first line of a small file of /proc or /sys, or None when there is no such file for us."""
    try:
        with open(path, "rb") as file:
            return text(file.read(SYSCTL_MAX).split(b"\n", 1)[0])
    except OSError:
        return None


def status_field(name: str) -> str | None:
    """One field of /proc/self/status (fs/proc/array.c), such as ``CapEff`` or ``Seccomp``."""
    with open("/proc/self/status", encoding="utf-8", errors="backslashreplace") as file:
        for line in file:
            key, _, rest = line.partition(":")
            if key == name:
                return rest.strip()
    return None


def effective_capabilities() -> frozenset[str]:
    """Those of CAPABILITIES that this process has."""
    mask = int(status_field("CapEff") or "0", 16)
    return frozenset(name for name, bit in CAPABILITIES.items() if mask >> bit & 1)


def privilege_hint() -> str:
    """What to do for want of a privilege: root is not told to become root."""
    if os.geteuid() != 0:
        return "run as root"
    return "run it on the host, or give the capability to this container or service"


def in_initial_user_namespace() -> bool:
    """Whether root here is root of the host: the identity map of all ids exists in the initial one only."""
    return (read_line("/proc/self/uid_map") or "").split() == ["0", "0", "4294967295"]


def possible_cpus() -> int:
    """How many CPUs there can ever be (num_possible_cpus()), which per-CPU BPF maps have values of."""
    ranges = re.findall(r"(\d+)(?:-(\d+))?", read_line("/sys/devices/system/cpu/possible") or "")
    return sum(int(last or first) - int(first) + 1 for first, last in ranges)


def lockdown() -> str | None:
    """The kernel's lockdown mode: none, integrity or confidentiality; None where it cannot be seen."""
    mode = re.search(r"\[(\w+)\]", read_line("/sys/kernel/security/lockdown") or "")
    return mode[1] if mode else None


def readable(path: str) -> bool:
    announce("look whether %s can be read", path)
    return os.access(path, os.R_OK)


def exists(path: str) -> bool:
    announce("look for %s", path)
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def kernel_monotonic_ns() -> int:
    """CLOCK_MONOTONIC as BPF programs read it, which know of no time namespace (time_namespaces(7)); ns."""
    return time.monotonic_ns() - monotonic_offset()


@cache
def monotonic_offset() -> int:
    """By how many ns our time namespace is ahead; 0 in a kernel without them (before Linux v5.6)."""
    try:
        with open("/proc/self/timens_offsets", encoding="ascii") as file:
            found = {name: int(seconds) * 10**9 + int(rest) for name, seconds, rest in map(str.split, file)}
    except OSError:
        return 0
    return found.get("monotonic", 0)
