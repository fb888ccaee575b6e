# SPDX-License-Identifier: GPL-2.0-or-later
"""The system calls that can be asked. Adding one is its name here and a file in syscalls/ with an ``ENTRY``."""

from __future__ import annotations

from importlib import import_module

from kprobe_tool.probes.extensible_structs.recipe import SyscallEntry

NAMES = (
    "openat2",
    "clone3",
    "mount_setattr",
    "sched_setattr",
    "perf_event_open",
    "bpf",
    "landlock_create_ruleset",
    "statmount",
    "listmount",
    "file_setattr",
    "setxattrat",
    "PIDFD_GET_INFO",
    "IORING_REGISTER_QUERY",
)
"""In the order of ``--all``. Each has a file of its name, in lower case; listing the names imports none of them."""


def entry(name: str) -> SyscallEntry:
    """The entry of one of NAMES."""
    found: SyscallEntry = import_module(f"{__package__}.syscalls.{name.lower()}").ENTRY
    return found
