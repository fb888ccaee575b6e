# SPDX-License-Identifier: GPL-2.0-or-later
"""Kprobes through perf_event_open(2), kernel/trace/trace_event_perf.c perf_kprobe_init().

An event of the kprobe PMU lives as long as its file descriptor. The older way through tracefs leaves an event behind
when its owner is killed.
"""

from __future__ import annotations

import ctypes
import errno as errnos
import fcntl
import os

from kprobe_tool.errors import Error
from kprobe_tool.native import host, syscall
from kprobe_tool.native.libc import oserror
from kprobe_tool.native.perf_event import perf_event_attr

ENABLED = "/sys/kernel/debug/kprobes/enabled"
PMU = "/sys/bus/event_source/devices/kprobe"

PERF_EVENT_IOC_ENABLE = 0x2400
PERF_EVENT_IOC_SET_BPF = 0x40042408
PERF_FLAG_FD_CLOEXEC = 1 << 3


def available() -> bool:
    """Whether this kernel has kprobes that a program can be attached to (CONFIG_KPROBE_EVENTS)."""
    return host.exists(PMU)


def attach(program: int, where: str | int, *, at_return: bool = False) -> int:
    """Run a BPF program where a function begins or returns: a file descriptor, which ends it when closed.

    ``where`` is a symbol, of the kernel or of a loaded module, or an address from /proc/kallsyms, which a name that
    several functions have needs. Raises Error where the kernel has no kprobes or they are disabled, OSError: ENOENT
    (no such symbol), EADDRNOTAVAIL (an ambiguous one), EINVAL (not to be probed).
    """
    pmu = host.read_line(f"{PMU}/type")
    if pmu is None:
        raise Error("kprobes", "this kernel has none", hint="a kernel with CONFIG_KPROBE_EVENTS=y")
    if host.read_line(ENABLED) == "0":
        # Probes can be registered all the same; they are never hit.
        raise Error("kprobes", "disabled", hint=f"'echo 1 > {ENABLED}' enables them")
    symbol = ctypes.create_string_buffer(where.encode()) if isinstance(where, str) else None
    attr = perf_event_attr(
        type=int(pmu),
        size=ctypes.sizeof(perf_event_attr),
        # format/retprobe is config:0, kprobe_func is config1, kprobe_addr or probe_offset is config2.
        config=int(at_return),
        config1=ctypes.addressof(symbol) if symbol else 0,
        config2=where if isinstance(where, int) else 0,
    )
    name = where if isinstance(where, str) else f"{where:#x}"
    # Any CPU will do: a program runs on the one that hits the probe.
    fd = syscall.call("perf_event_open", ctypes.addressof(attr), -1, 0, -1, PERF_FLAG_FD_CLOEXEC)
    if fd < 0:
        oserror("perf_event_open(2)", needs="CAP_PERFMON or CAP_SYS_ADMIN", on=f"kprobe {name}")
    try:
        fcntl.ioctl(fd, PERF_EVENT_IOC_SET_BPF, program)
        fcntl.ioctl(fd, PERF_EVENT_IOC_ENABLE, 0)
    except OSError as error:
        os.close(fd)
        raise OSError(error.errno or errnos.EIO, os.strerror(error.errno or errnos.EIO), f"kprobe {name}") from error
    return fd
