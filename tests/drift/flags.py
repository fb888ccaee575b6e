# SPDX-License-Identifier: GPL-2.0-or-later
"""The flags in the headers of the user-space API, and which of them no entry of check-fields has."""

import re
from collections.abc import Iterator
from pathlib import Path

from kprobe_tool.probes.extensible_structs import table

UAPI = "include/uapi/linux"

FAMILIES = {
    "openat2.h": ("RESOLVE_", "OPENAT2_"),
    "sched.h": ("CLONE_", "SCHED_FLAG_"),
    "mount.h": ("MOUNT_ATTR_", "STATMOUNT_", "LISTMOUNT_"),
    "fs.h": ("FS_XFLAG_",),
    "perf_event.h": ("PERF_SAMPLE_", "PERF_FORMAT_"),
    "landlock.h": ("LANDLOCK_ACCESS_", "LANDLOCK_SCOPE_"),
    "pidfd.h": ("PIDFD_INFO_",),
    "xattr.h": ("XATTR_CREATE", "XATTR_REPLACE"),
    "io_uring.h": ("IORING_FEAT_", "IORING_SETUP_", "IORING_ENTER_"),
}
"""By header: the prefixes of the flags that our entries have."""

OTHERS = frozenset(
    {
        # sched_setattr(2): names for several flags.
        "SCHED_FLAG_ALL",
        "SCHED_FLAG_KEEP_ALL",
        "SCHED_FLAG_UTIL_CLAMP",
        # perf_event_open(2): the number of bits, and shifts.
        "PERF_SAMPLE_MAX",
        "PERF_FORMAT_MAX",
        "PERF_SAMPLE_BRANCH_MAX",
        "PERF_SAMPLE_BRANCH_MAX_SHIFT",
        "PERF_SAMPLE_BRANCH_PLM_ALL",
        # Two flags by one name, and values of a field that the kernel writes.
        "PERF_SAMPLE_WEIGHT_TYPE",
        "PERF_SAMPLE_REGS_ABI_NONE",
        "PERF_SAMPLE_REGS_ABI_32",
        "PERF_SAMPLE_REGS_ABI_64",
        # mount_setattr(2): 0, no flag.
        "MOUNT_ATTR_RELATIME",
    }
)
"""Names with these prefixes that are no flags of the fields that are asked about."""

DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+\S", re.MULTILINE)
NO_FLAG = re.compile(r"_SHIFT$|_SIZE_VER\d+$")
"""Sizes are compared with the types, and a shift belongs to a flag that has a name of its own."""
ENUMERATOR = re.compile(r"^[ \t]*([A-Z]\w*)[ \t]*=", re.MULTILINE)


def names_in(text: str) -> list[str]:
    """What a header defines as a macro with a value, or as an enumerator."""
    return list(dict.fromkeys([*DEFINE.findall(text), *ENUMERATOR.findall(text)]))


def names_of_entries() -> set[str]:
    return {flag.name for name in table.NAMES for field in table.entry(name).fields for flag in field.flags}


def unknown_flags(source: Path) -> Iterator[str]:
    """A line for each flag that no entry has, and for each header that is not there."""
    known = names_of_entries() | OTHERS
    for header, families in FAMILIES.items():
        path = source / UAPI / header
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            yield f"{UAPI}/{header}: not there any more"
            continue
        for name in names_in(text):
            if name.startswith(families) and name not in known and not NO_FLAG.search(name):
                yield f"{UAPI}/{header}: no entry of check-fields has {name}"
