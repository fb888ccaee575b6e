# SPDX-License-Identifier: GPL-2.0-or-later
"""The check type, the verdict type, and the table of all checks.

The table is data: help, ``audit --list``, ``explain``, JSON and the man page all come from it. The function
behind a row is named, not imported, so that reading the table costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module

from kprobe_tool.errors import Error


class Status(StrEnum):
    """The four outcomes of a check."""

    OK = "ok"
    AFFECTED = "affected"
    NOT_APPLICABLE = "not-applicable"
    UNKNOWN = "unknown"


class Method(StrEnum):
    """How a verdict was reached, strongest first."""

    PROBE = "probe"
    SYMBOL = "symbol"
    CONFIG = "config"
    VERSION = "version"


class Severity(StrEnum):
    """How bad it is where a host is affected."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True)
class Finding:
    """What a check found out.

    ``evidence`` is what was seen, as JSON-able data. ``settle`` says what would settle an ``unknown`` (root, a
    module, a kernel option) and is required there: an unknown that names no way out helps nobody.
    """

    status: Status
    reason: str
    method: Method = Method.PROBE
    evidence: Mapping[str, object] = field(default_factory=dict)
    settle: str | None = None

    def __post_init__(self) -> None:
        if self.status is Status.UNKNOWN and not self.settle:
            raise ValueError("an unknown finding must say what would settle it")


@dataclass(frozen=True)
class Check:
    """One row of the table. ``function`` is ``module:name`` of a function without arguments giving a Finding."""

    id: str
    title: str
    severity: Severity
    system: str
    needs: tuple[str, ...]
    references: tuple[str, ...]
    meaning: str
    remedy: str
    function: str

    def run(self) -> Finding:
        """Import the probe and ask it."""
        module, _, name = self.function.partition(":")
        finding = getattr(import_module(module), name)()
        if not isinstance(finding, Finding):
            raise TypeError(f"{self.function} returned {finding!r}")
        return finding


CHECKS: tuple[Check, ...] = (
    Check(
        id="rds-info-netns-leak",
        title="RDS_INFO_* rows of other network namespaces are readable",
        severity=Severity.MEDIUM,
        system="rds",
        needs=("module rds", "user namespaces or root"),
        references=("CVE-2026-97476", 'Linux "rds: filter RDS_INFO_* getsockopt by caller\'s netns"'),
        meaning=(
            "getsockopt(SOL_RDS, RDS_INFO_*) on an unprivileged socket returns the sockets, connections and "
            "queued messages of every network namespace: addresses, ports, sequence numbers and inodes of other "
            "containers and of the host."
        ),
        remedy=(
            "Boot a kernel with the fix. Until then unload rds_tcp, rds_rdma and rds, or keep them from being "
            "loaded with 'install rds /bin/false' in modprobe.d."
        ),
        function="kprobe_tool.probes.rds.leak:check_rows",
    ),
    Check(
        id="rds-info-count-leak",
        title="RDS_INFO_* probes count the rows of other network namespaces",
        severity=Severity.LOW,
        system="rds",
        needs=("module rds", "user namespaces or root"),
        references=("CVE-2026-97476", 'Linux "rds: filter RDS_INFO_* getsockopt by caller\'s netns"'),
        meaning=(
            "A zero-length getsockopt(SOL_RDS, RDS_INFO_*) answers with the buffer size needed. Where that size "
            "counts rows of other network namespaces, an unprivileged caller can watch how many there are."
        ),
        remedy="Boot a kernel with the fix, or unload the rds modules.",
        function="kprobe_tool.probes.rds.leak:check_counts",
    ),
    Check(
        id="rds-netns-delivery",
        title="RDS delivers loopback messages into other network namespaces",
        severity=Severity.HIGH,
        system="rds",
        needs=("module rds", "user namespaces or root"),
        references=('Linux "rds: drop incoming messages that cross network namespace boundaries"',),
        meaning=(
            "A message sent to a loopback address in one network namespace is queued on the RDS socket that is "
            "bound to this address in another one: an unprivileged user can inject messages into containers and "
            "into the host."
        ),
        remedy="Boot a kernel with the fix (6.1.183, 6.12.101 or later), or unload the rds modules.",
        function="kprobe_tool.probes.rds.leak:check_delivery",
    ),
    Check(
        id="rds-bind-netns",
        title="The RDS bind table is shared by all network namespaces",
        severity=Severity.LOW,
        system="rds",
        needs=("module rds", "user namespaces or root"),
        references=("Linux net/rds/bind.c, rds_add_bound()",),
        meaning=(
            "bind() of an address and port that is bound in another network namespace answers EADDRINUSE: an "
            "unprivileged user can test which RDS endpoints exist on the host, and can take them away from "
            "other namespaces."
        ),
        remedy="No released kernel separates the table. Unload the rds modules where they are not used.",
        function="kprobe_tool.probes.rds.leak:check_bind",
    ),
    Check(
        id="openat2-usize-limit",
        title="openat2(2) takes a struct of more than a page",
        severity=Severity.LOW,
        system="extensible-structs",
        needs=("openat2(2) not blocked by a seccomp filter",),
        references=(
            'Linux kernel commit f92f0a1b0569 ("openat2: explicitly return -E2BIG for (usize > PAGE_SIZE)") '
            "(in v6.13)",
        ),
        meaning=(
            "Extensible system calls refuse a struct of more than a page with E2BIG. openat2(2) went on to read all "
            "of it, so that a program which tests for E2BIG is told something else (EFAULT), and the kernel scans as "
            "much memory as the caller says."
        ),
        remedy="Boot a kernel with the fix; stable kernels have it as well. Programs should not pass such a size.",
        function="kprobe_tool.probes.extensible_structs.checks:check_usize_limit",
    ),
    Check(
        id="copy-struct-to-user",
        title="sched_getattr(2) does not clear the rest of a larger struct",
        severity=Severity.LOW,
        system="extensible-structs",
        needs=("sched_getattr(2) not blocked by a seccomp filter",),
        references=("Linux include/linux/uaccess.h, copy_struct_to_user()",),
        meaning=(
            "A program built for a newer kernel passes a larger struct than this kernel knows. Where the kernel does "
            "not clear the rest, the program reads what was in its own memory before as fields of the answer; where "
            "the kernel wrote beyond a smaller struct, it would overwrite the program's memory."
        ),
        remedy="Clear the struct before the call, and look at the size that the kernel wrote into it.",
        function="kprobe_tool.probes.extensible_structs.checks:check_copy_to_user",
    ),
    Check(
        id="extensible-struct-reachability",
        title="A seccomp filter hides extensible system calls",
        severity=Severity.LOW,
        system="extensible-structs",
        needs=("/proc/kallsyms or BTF where a filter answers ENOSYS",),
        references=("man:seccomp(2)", "man:kprobe-tool-check-fields(1)"),
        meaning=(
            "A seccomp filter of this process answers for the kernel, or kills who asks. Programs that take its "
            "EPERM or ENOSYS for the kernel's fall back to older system calls without need, or fail."
        ),
        remedy=(
            "Allow the system call in the container's or the unit's seccomp profile, or let the filter answer "
            "ENOSYS, which most programs have a fallback for."
        ),
        function="kprobe_tool.probes.extensible_structs.checks:check_reachability",
    ),
    Check(
        id="nvme-queues-granted",
        title="An NVMe controller has fewer I/O queues than the host asked for",
        severity=Severity.LOW,
        system="nvme",
        needs=("an NVMe controller", "root for fabrics"),
        references=("drivers/nvme/host/core.c nvme_set_queue_count()",),
        meaning=(
            "The host asked for more I/O queues than the controller got, so CPUs share queues, and write or poll "
            "queues that were configured may be missing."
        ),
        remedy=(
            "Raise the target's limit (nvmet: attr_qid_max of the subsystem) or ask for fewer. 'nvme-queues "
            "--query-controller' says which side sets the limit."
        ),
        function="kprobe_tool.probes.nvme.findings:check_granted",
    ),
    Check(
        id="nvme-shortfall-oops",
        title="A kernel that oopses when an NVMe target grants fewer queues than asked",
        severity=Severity.HIGH,
        system="nvme",
        needs=("an nvme-rdma or nvme-tcp controller",),
        references=(
            'Linux kernel commit b65bb777ef22 ("nvme-rdma: support separate queue maps for read and write")',
            'Linux kernel commit 6486199378a5 ("nvme-tcp: fix queue mapping when queues count is limited")',
        ),
        meaning=(
            "Linux v5.0 and v5.1 map CPUs to the queues that were asked for. Where the target grants fewer, some "
            "CPUs are mapped to queues that do not exist, and connecting is a NULL dereference."
        ),
        remedy="Boot v5.2 or later. Until then ask for no more queues than the target grants (--nr-io-queues).",
        function="kprobe_tool.probes.nvme.findings:check_shortfall_oops",
    ),
    Check(
        id="nvme-stale-io-queues",
        title="A reconnect granted fewer NVMe queues would oops the kernel",
        severity=Severity.HIGH,
        system="nvme",
        needs=("an nvme-rdma or nvme-tcp controller", "a namespace"),
        references=(
            "drivers/nvme/host/fabrics.c nvmf_set_io_queues()",
            'Linux kernel commit a249d3066de6 ("nvme-fabrics: add queue setup helpers")',
        ),
        meaning=(
            "The controller has read or poll queues. When it reconnects or is reset and the target grants fewer "
            "queues than now, the kernel keeps the old read and poll counts, maps CPUs to queues that do not exist, "
            "and dies of a NULL dereference in blk_mq_map_swqueue(). Seen on 6.1, 6.12 and 7.2; no kernel is known "
            "to clear the counts."
        ),
        remedy=(
            "Do not lower the target's limit while connected. Connect without --nr-write-queues and "
            "--nr-poll-queues, or disconnect before the target changes."
        ),
        function="kprobe_tool.probes.nvme.findings:check_stale_io_queues",
    ),
    Check(
        id="nvme-hctx-offline-cpus",
        title="An NVMe queue has no online CPU, and its controller could not reconnect",
        severity=Severity.HIGH,
        system="nvme",
        needs=("an NVMe fabrics controller", "a namespace"),
        references=("block/blk-mq.c blk_mq_alloc_request_hctx()",),
        meaning=(
            "All CPUs of a hardware queue are offline. I/O goes on, but after a reset or a lost connection the "
            "queue cannot be connected (EXDEV), and the controller tries for ever or until ctrl_loss_tmo."
        ),
        remedy="Bring one of the queue's CPUs online before the next reset, or disconnect and connect again.",
        function="kprobe_tool.probes.nvme.findings:check_hctx_offline_cpus",
    ),
    Check(
        id="nvme-queue-count",
        title="An NVMe controller's queue_count disagrees with its mapped queues",
        severity=Severity.MEDIUM,
        system="nvme",
        needs=("an NVMe controller", "a namespace"),
        references=("drivers/nvme/host/tcp.c nvme_tcp_configure_io_queues()",),
        meaning=(
            "The kernel sets queue_count before it maps the queues anew. Where the two differ, a reconnect or reset "
            "with another number of queues has failed, or is under way."
        ),
        remedy="Look at the controller's state and at the kernel log for why it does not reconnect.",
        function="kprobe_tool.probes.nvme.findings:check_queue_count",
    ),
    Check(
        id="nvme-path-queues",
        title="Paths to one NVMe subsystem have different numbers of queues",
        severity=Severity.LOW,
        system="nvme",
        needs=("two controllers of one subsystem",),
        references=("drivers/nvme/host/multipath.c",),
        meaning=(
            "One path has fewer I/O queues than another to the same subsystem, so I/O over it shares queues, and a "
            "path with a single queue gets another I/O scheduler."
        ),
        remedy="Connect all paths with the same options, and look for a target port or interface with a lower limit.",
        function="kprobe_tool.probes.nvme.findings:check_path_queues",
    ),
    Check(
        id="nvme-poll-queues",
        title="NVMe poll queues were asked for and there are none",
        severity=Severity.MEDIUM,
        system="nvme",
        needs=("an NVMe controller", "a namespace"),
        references=("drivers/nvme/host/fabrics.c nvmf_map_queues()", "block/blk-mq.c blk_mq_map_swqueue()"),
        meaning=(
            "The grant left no queue to poll. The kernel still accepts polled I/O (queue/io_poll is 1) and sends it "
            "to default queue 0, which debugfs may then call a poll queue."
        ),
        remedy="Raise the target's limit, or ask for fewer I/O and write queues so that some are left to poll.",
        function="kprobe_tool.probes.nvme.findings:check_poll_queues",
    ),
    Check(
        id="nvme-cpu-balance",
        title="NVMe default queues serve different numbers of CPUs",
        severity=Severity.LOW,
        system="nvme",
        needs=("an NVMe controller", "a namespace"),
        references=("block/blk-mq-cpumap.c blk_mq_map_queues()",),
        meaning=(
            "Some default queues serve at least two CPUs more than others, so the I/O of some CPUs has less of the "
            "queue than that of others."
        ),
        remedy="Ask for a number of queues that divides the CPUs evenly.",
        function="kprobe_tool.probes.nvme.findings:check_cpu_balance",
    ),
)


def evaluate(check: Check) -> Finding:
    """Run one check; what keeps it from being asked is an ``unknown`` with the reason, never an ``ok``."""
    try:
        return check.run()
    except Error as error:
        return Finding(Status.UNKNOWN, str(error), settle=error.hint or f"what it needs: {', '.join(check.needs)}")
    except OSError as error:
        failure = Error.from_os(error.filename or check.id, error)
        return Finding(Status.UNKNOWN, str(failure), settle=f"what it needs: {', '.join(check.needs)}")
