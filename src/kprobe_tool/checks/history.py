# SPDX-License-Identifier: GPL-2.0-or-later
"""Which releases of the kernel have what the checks look for, and the change that ended it.

Hints for people and expectations for tests: no verdict comes from here, a kernel is asked. The releases of stable
series are from Debian's changelogs of the kernel, which name the upstream release of every change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

Release = tuple[int, ...]
"""(6, 12, 43); a release candidate of v7.3 is (7, 3)."""


def parse(release: str) -> Release:
    """6.1.192 is (6, 1, 192)."""
    return tuple(int(part) for part in release.split("."))


class KernelChange(NamedTuple):
    """A change of the kernel, and where it is.

    ``mainline`` is the first release of Linus's tree that has it, and so does every later one; ``stable`` the first
    of each older series that got it.
    """

    subject: str
    mainline: str
    stable: tuple[str, ...] = ()

    def is_in(self, release: Release) -> bool:
        """Whether a release has this change, as far as is known."""
        if release[:2] >= parse(self.mainline):
            return True
        return any(release[:2] == first[:2] and release >= first for first in map(parse, self.stable))

    @property
    def releases(self) -> str:
        """In words: ``v7.2; stable kernels from 6.1.189 and 6.12.111 on``."""
        if not self.stable:
            return f"v{self.mainline}"
        *most, last = self.stable
        return f"v{self.mainline}; stable kernels from {' and '.join((', '.join(most), last)) if most else last} on"


class Affected(NamedTuple):
    """The releases on which a check finds something: ``since`` one of mainline, until the one with the ``fix``."""

    since: str
    fix: KernelChange | None
    """None: no release has one."""

    def includes(self, release: Release) -> bool:
        """Whether a release is known to be affected."""
        return release[:2] >= parse(self.since) and not (self.fix is not None and self.fix.is_in(release))


# v7.2 is the oldest series after v6.12 that was looked at, here and for the next two.
RDS_INFO_FILTER = KernelChange("rds: filter RDS_INFO_* getsockopt by caller's netns", "7.2", ("6.1.189", "6.12.111"))
RDS_DELIVERY = KernelChange(
    "rds: drop incoming messages that cross network namespace boundaries", "7.2", ("6.1.183", "6.12.101")
)
TLS_OR_SOCKMAP = KernelChange("tls: reject the combination of TLS and sockmap", "7.2", ("6.1.189", "6.12.111"))
SG_COPY = KernelChange(
    "net: skmsg: preserve sg.copy across SG transforms",
    "7.2",
    ("5.10.261", "5.15.212", "6.1.177", "6.6.144", "6.12.95", "6.18.38", "7.1.3"),
)
SPLICED_PAGES = KernelChange("tcp_bpf: Make tcp_bpf_sendpage() go through tcp_bpf_sendmsg(MSG_SPLICE_PAGES)", "6.5")
OPENAT2_LIMIT = KernelChange(
    "openat2: explicitly return -E2BIG for (usize > PAGE_SIZE)", "6.12", ("5.10.229", "6.1.115", "6.11.6")
)
SCHED_GETATTR = KernelChange("sched_getattr: port to copy_struct_to_user", "6.13")
RESOLVE_CACHED = KernelChange("fs: expose LOOKUP_CACHED through openat2() RESOLVE_CACHED", "5.12", ("5.10.162",))
PERF_FORMAT_LOST = KernelChange(
    "perf/core: Add a new read format to get a number of lost samples", "6.0", ("5.10.204",)
)
NVME_QUEUE_MAPS = KernelChange("nvme-tcp: fix queue mapping when queues count is limited", "5.2")

AFFECTED: Mapping[str, Affected] = {
    "rds-info-netns-leak": Affected("2.6.30", RDS_INFO_FILTER),
    "rds-info-count-leak": Affected("2.6.30", RDS_INFO_FILTER),
    "rds-netns-delivery": Affected("2.6.30", RDS_DELIVERY),
    "rds-bind-netns": Affected("2.6.30", None),
    "openat2-usize-limit": Affected("5.6", OPENAT2_LIMIT),
    "copy-struct-to-user": Affected("3.14", SCHED_GETATTR),
    "nvme-shortfall-oops": Affected("5.0", NVME_QUEUE_MAPS),
    "skmsg-tls-split-copy": Affected("4.20", SG_COPY),
    "skmsg-push-pop-copy": Affected("5.0", SG_COPY),
    "skmsg-stale-copy": Affected("4.20", SG_COPY),
}
"""By the id of the check. What the others find depends on the host, not on its kernel's release."""

SEEN = ("5.10.262", "6.1.192", "6.12.43", "7.2.12", "7.3.4")
"""The newest release of each series that the lab has compared with this table. Debian built 5.10.262 without kTLS, so
what only kTLS shows was not compared there."""


def is_news(release: Release) -> bool:
    """Whether a release is newer than what was compared: where it differs, the table may be what is wrong."""
    return not any(release[:2] == seen[:2] and release <= seen for seen in map(parse, SEEN))
