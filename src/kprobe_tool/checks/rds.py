# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of RDS, the Reliable Datagram Sockets of net/rds."""

from kprobe_tool.checks.model import Check, Needs, Root, Severity

CHECKS: tuple[Check, ...] = (
    Check(
        id="rds-info-netns-leak",
        title="RDS_INFO_* rows of other network namespaces are readable",
        severity=Severity.MEDIUM,
        system="rds",
        needs=Needs(Root.SOMETIMES, modules=("rds",), others=("user namespaces or root",)),
        references=("CVE-2026-97476", 'Linux "rds: filter RDS_INFO_* getsockopt by caller\'s netns"'),
        meaning=(
            "getsockopt(SOL_RDS, RDS_INFO_*) on an unprivileged socket returns the sockets, connections and "
            "queued messages of every network namespace: addresses, ports, sequence numbers and inodes of other "
            "containers and of the host."
        ),
        look_for=(
            "In options, outcome 'leaks' and more rows_seen than rows_own: rows of the canary in another namespace, "
            "which this caller must not see. symbols_of_unfixed_kernels names what only kernels without the fix have."
        ),
        remedy=(
            "Boot a kernel with the fix. Until then unload rds_tcp, rds_rdma and rds, or keep them from being "
            "loaded with 'install rds /bin/false' in modprobe.d."
        ),
        function="kprobe_tool.probes.rds.experiment:check",
    ),
    Check(
        id="rds-info-count-leak",
        title="RDS_INFO_* probes count the rows of other network namespaces",
        severity=Severity.LOW,
        system="rds",
        needs=Needs(Root.SOMETIMES, modules=("rds",), others=("user namespaces or root",)),
        references=("CVE-2026-97476", 'Linux "rds: filter RDS_INFO_* getsockopt by caller\'s netns"'),
        meaning=(
            "A zero-length getsockopt(SOL_RDS, RDS_INFO_*) answers with the buffer size needed. Where that size "
            "counts rows of other network namespaces, an unprivileged caller can watch how many there are."
        ),
        look_for="In options, outcome 'leaks' or 'count-leaks': count_probe stands for more rows than rows_own.",
        remedy="Boot a kernel with the fix, or unload the rds modules.",
        function="kprobe_tool.probes.rds.experiment:check",
    ),
    Check(
        id="rds-netns-delivery",
        title="RDS delivers loopback messages into other network namespaces",
        severity=Severity.HIGH,
        system="rds",
        needs=Needs(Root.SOMETIMES, modules=("rds",), others=("user namespaces or root",)),
        references=('Linux "rds: drop incoming messages that cross network namespace boundaries"',),
        meaning=(
            "A message sent to a loopback address in one network namespace is queued on the RDS socket that is "
            "bound to this address in another one: an unprivileged user can inject messages into containers and "
            "into the host."
        ),
        look_for=(
            "delivered is true: the owner of the address received a message that was sent in another namespace. "
            "Its own message, which must arrive, is the control."
        ),
        remedy="Boot a kernel with the fix (6.1.183, 6.12.101 or later), or unload the rds modules.",
        function="kprobe_tool.probes.rds.experiment:check",
    ),
    Check(
        id="rds-bind-netns",
        title="The RDS bind table is shared by all network namespaces",
        severity=Severity.LOW,
        system="rds",
        needs=Needs(Root.SOMETIMES, modules=("rds",), others=("user namespaces or root",)),
        references=("Linux net/rds/bind.c, rds_add_bound()",),
        meaning=(
            "bind() of an address and port that is bound in another network namespace answers EADDRINUSE: an "
            "unprivileged user can test which RDS endpoints exist on the host, and can take them away from "
            "other namespaces."
        ),
        look_for="bind_taken is true: bind() in a new namespace answered EADDRINUSE for a port bound in another one.",
        remedy="No released kernel separates the table. Unload the rds modules where they are not used.",
        function="kprobe_tool.probes.rds.experiment:check",
    ),
)
