# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of RDS, the Reliable Datagram Sockets of net/rds."""

from kprobe_tool.checks import history
from kprobe_tool.checks.model import Check, Needs, Root, Severity

NEEDS = Needs(Root.SOMETIMES, modules=("rds",), others=("user namespaces or root",))
FUNCTION = "kprobe_tool.probes.rds.checks:check"
UNLOAD = (
    "Boot a kernel with the fix ({}). Until then unload rds_tcp, rds_rdma and rds, and keep them from being loaded "
    "again with 'install rds /bin/false' in /etc/modprobe.d; both only where nobody uses RDS."
)

CHECKS: tuple[Check, ...] = (
    Check(
        id="rds-info-netns-leak",
        title="What RDS shows of other network namespaces",
        severity=Severity.MEDIUM,
        system="rds",
        needs=NEEDS,
        references=("CVE-2026-97476", 'Linux "rds: filter RDS_INFO_* getsockopt by caller\'s netns"'),
        meaning=(
            "An affected kernel shows the RDS sockets, connections and queued messages of every container and of the "
            "host to any user who lists RDS sockets: addresses, ports, sequence numbers and inodes. The question "
            "is getsockopt(SOL_RDS, RDS_INFO_*), which needs no privilege."
        ),
        look_for=(
            "In options, outcome 'leaks' and more rows_seen than rows_own: rows that the check had made in another "
            "network namespace, or that were there. Outcome 'inconclusive' is a list that had nothing to show "
            "(canary_rows is 0) or could not be read. symbols_of_unfixed_kernels names what only kernels without the "
            "fix have."
        ),
        remedy=UNLOAD.format(history.RDS_INFO_FILTER.releases),
        function=FUNCTION,
    ),
    Check(
        id="rds-info-count-leak",
        title="Whether RDS counts other network namespaces in its sizes",
        severity=Severity.LOW,
        system="rds",
        needs=NEEDS,
        references=("CVE-2026-97476", 'Linux "rds: filter RDS_INFO_* getsockopt by caller\'s netns"'),
        meaning=(
            "Asked how large a buffer has to be (getsockopt(SOL_RDS, RDS_INFO_*) with length 0), an affected kernel "
            "counts the sockets, connections and messages of other containers and of the host as well: any user can "
            "watch how many there are."
        ),
        look_for=(
            "In options, outcome 'leaks' or 'count-leaks': count_probe, the rows that the size stands for, is more "
            "than rows_own."
        ),
        remedy=UNLOAD.format(history.RDS_INFO_FILTER.releases),
        function=FUNCTION,
    ),
    Check(
        id="rds-netns-delivery",
        title="Whether RDS messages stay in their network namespace",
        severity=Severity.HIGH,
        system="rds",
        needs=NEEDS,
        references=('Linux "rds: drop incoming messages that cross network namespace boundaries"',),
        meaning=(
            "On an affected kernel a message that is sent to a loopback address in one network namespace arrives at "
            "the RDS socket that is bound to this address and port in another one: any user can send messages to RDS "
            "programs in other containers and on the host, past every firewall."
        ),
        look_for=(
            "delivered is true: a message arrived in another network namespace than the one it was sent in. It is "
            "false only where the message had left its sender's queues (still_queued is 0), the sender's next "
            "message to itself arrived (sender_control), and so did one of the receiver to itself after that "
            "(owner_control)."
        ),
        remedy=UNLOAD.format(history.RDS_DELIVERY.releases),
        function=FUNCTION,
    ),
    Check(
        id="rds-bind-netns",
        title="Whether RDS ports are separate in each network namespace",
        severity=Severity.LOW,
        system="rds",
        needs=NEEDS,
        references=("Linux net/rds/bind.c, rds_add_bound()",),
        meaning=(
            "On an affected kernel all network namespaces share one table of RDS addresses and ports: any user can "
            "find out which are in use in other containers and on the host, since bind() answers EADDRINUSE, and "
            "can occupy those that are not."
        ),
        look_for="bind_taken is true: bind() answered EADDRINUSE for a port bound in another network namespace.",
        remedy=(
            "No released kernel separates the table. Unload the rds modules where nobody uses RDS, and keep them "
            "from being loaded again with 'install rds /bin/false' in /etc/modprobe.d."
        ),
        function=FUNCTION,
    ),
)
