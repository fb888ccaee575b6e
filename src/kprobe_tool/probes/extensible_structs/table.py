# SPDX-License-Identifier: GPL-2.0-or-later
"""The system calls that can be asked, by name. Adding one is a module with an ``ENTRY``, and its row here."""

from __future__ import annotations

from importlib import import_module

from kprobe_tool.probes.extensible_structs.recipe import Entry

MODULES = {
    "openat2": "openat2",
    "clone3": "clone3",
    "mount_setattr": "mount_setattr",
    "sched_setattr": "sched_setattr",
    "perf_event_open": "perf_event_open",
    "bpf": "bpf",
    "landlock_create_ruleset": "landlock",
    "statmount": "statmount",
    "listmount": "listmount",
    "file_setattr": "file_setattr",
    "setxattrat": "setxattrat",
    "PIDFD_GET_INFO": "pidfd",
    "IORING_REGISTER_QUERY": "io_uring",
}
"""Name: module beside this one. Data, so that listing them imports none."""


def entry(name: str) -> Entry:
    """The entry of one of MODULES."""
    found = import_module(f"{__package__}.{MODULES[name]}").ENTRY
    if not isinstance(found, Entry):
        raise TypeError(f"{MODULES[name]}.ENTRY is no entry")
    return found
