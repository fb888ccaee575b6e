# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of the I/O queues of NVMe controllers."""

from kprobe_tool.checks.model import Check, Needs, Root, Severity

CHECKS: tuple[Check, ...] = (
    Check(
        id="nvme-queues-granted",
        title="I/O queues granted to NVMe controllers",
        severity=Severity.LOW,
        system="nvme",
        needs=Needs(Root.SOMETIMES, others=("an NVMe controller",)),
        references=("drivers/nvme/host/core.c nvme_set_queue_count()",),
        meaning=(
            "The host asked for more I/O queues than the controller got, so CPUs share queues, and write or poll "
            "queues that were configured may be missing."
        ),
        look_for=(
            "asked_at_least is larger than granted; limited_by says whose limit it was, where that is known. Where "
            "the host may have asked for no more than it got, the verdict is unknown: module parameters and online "
            "CPUs count at the moment of a reset or connect, and can have changed since."
        ),
        remedy=(
            "Raise the target's limit (nvmet: attr_qid_max of the subsystem) or ask for fewer. 'nvme-queues "
            "--query-controller' says which side sets the limit."
        ),
        function="kprobe_tool.probes.nvme.checks:check",
    ),
    Check(
        id="nvme-shortfall-oops",
        title="NVMe connects granted fewer queues than asked for",
        severity=Severity.HIGH,
        system="nvme",
        needs=Needs(others=("an nvme-rdma or nvme-tcp controller", "/proc/kallsyms")),
        references=(
            'Linux kernel commit b65bb777ef22 ("nvme-rdma: support separate queue maps for read and write")',
            'Linux kernel commit 6486199378a5 ("nvme-tcp: fix queue mapping when queues count is limited")',
        ),
        meaning=(
            "The kernel crashes when it connects to a target that grants fewer queues than were asked for: Linux "
            "v5.0 and v5.1 map CPUs to all queues asked for, also to those that do not exist (NULL dereference)."
        ),
        look_for="The kernel has no nvmf_set_io_queues() in /proc/kallsyms, and is v5.0 or v5.1.",
        remedy="Boot v5.2 or later. Until then ask for no more queues than the target grants (--nr-io-queues).",
        function="kprobe_tool.probes.nvme.checks:check",
    ),
    Check(
        id="nvme-stale-io-queues",
        title="NVMe reconnects granted fewer queues than now",
        severity=Severity.HIGH,
        system="nvme",
        needs=Needs(Root.SOMETIMES, others=("an nvme-rdma or nvme-tcp controller", "a namespace")),
        references=(
            "drivers/nvme/host/fabrics.c nvmf_set_io_queues()",
            'Linux kernel commit a249d3066de6 ("nvme-fabrics: add queue setup helpers")',
        ),
        meaning=(
            "The kernel crashes when a controller with read or poll queues reconnects or is reset and the target "
            "grants fewer queues than now: it keeps the old read and poll counts and maps CPUs to queues that do not "
            "exist (NULL dereference in blk_mq_map_swqueue()). Seen on 6.1, 6.12 and 7.2; no kernel up to 7.3 "
            "clears the counts. Which grants are deadly is computed, not tried (method model), and nothing that can "
            "be read of a running kernel shows a fix: on a later kernel the verdict is unknown."
        ),
        look_for=(
            "deadly_grants lists the numbers of queues whose grant would be the crash; read and poll are the "
            "counts that stay. A vendor's kernel that has a fix is reported all the same, as only a crash would "
            "tell: where the vendor's list of changes has nvmf_set_io_queues() clear the counts, or a test machine "
            "with the same kernel survives a reset after its target's limit was lowered, waive it."
        ),
        remedy=(
            "Do not lower the target's limit while connected. Connect without --nr-write-queues and "
            "--nr-poll-queues, or disconnect before the target changes."
        ),
        function="kprobe_tool.probes.nvme.checks:check",
    ),
    Check(
        id="nvme-hctx-offline-cpus",
        title="Online CPUs of NVMe queues",
        severity=Severity.HIGH,
        system="nvme",
        needs=Needs(others=("an NVMe fabrics controller", "a namespace")),
        references=("block/blk-mq.c blk_mq_alloc_request_hctx()",),
        meaning=(
            "After a reset or a lost connection the controller does not come back: it tries for ever or until "
            "ctrl_loss_tmo. Until then I/O goes on. All CPUs of a hardware queue are offline or isolated, and such a "
            "queue cannot be connected (EXDEV)."
        ),
        look_for=(
            "hctxs lists the hardware queues without an online CPU, cpus the CPUs that would serve them. After a "
            "reset the kernel log has 'failed to connect queue: N ret=-18'."
        ),
        remedy="Bring one of the queue's CPUs online before the next reset, or disconnect and connect again.",
        function="kprobe_tool.probes.nvme.checks:check",
    ),
    Check(
        id="nvme-queue-count",
        title="NVMe queues granted and queues mapped",
        severity=Severity.MEDIUM,
        system="nvme",
        needs=Needs(others=("an NVMe controller", "a namespace")),
        references=("drivers/nvme/host/tcp.c nvme_tcp_configure_io_queues()",),
        meaning=(
            "A reconnect or reset with another number of queues has failed, or is under way: the kernel sets "
            "queue_count first and maps the queues anew later, and here the two differ."
        ),
        look_for="granted and mapped differ; state tells whether the controller is connecting.",
        remedy="Look at the controller's state and at the kernel log for why it does not reconnect.",
        function="kprobe_tool.probes.nvme.checks:check",
    ),
    Check(
        id="nvme-path-queues",
        title="Queues of the paths to an NVMe subsystem",
        severity=Severity.LOW,
        system="nvme",
        needs=Needs(others=("two controllers of one subsystem",)),
        references=("drivers/nvme/host/multipath.c",),
        meaning=(
            "One path has fewer I/O queues than another to the same subsystem, so I/O over it shares queues, and a "
            "path with a single queue gets another I/O scheduler."
        ),
        look_for="paths has different numbers for the controllers of one subsystem.",
        remedy="Connect all paths with the same options, and look for a target port or interface with a lower limit.",
        function="kprobe_tool.probes.nvme.checks:check",
    ),
    Check(
        id="nvme-poll-queues",
        title="NVMe poll queues",
        severity=Severity.MEDIUM,
        system="nvme",
        needs=Needs(Root.SOMETIMES, others=("an NVMe controller", "a namespace")),
        references=("drivers/nvme/host/fabrics.c nvmf_map_queues()", "block/blk-mq.c blk_mq_map_swqueue()"),
        meaning=(
            "Polled I/O is not polled: the target granted too few queues to leave one to poll. The kernel still "
            "accepts such I/O (queue/io_poll is 1) and sends it to default queue 0, which debugfs may then call a "
            "poll queue."
        ),
        look_for=(
            "asked counts the poll queues asked for; hctx_0_shown is what debugfs calls the queue that polled I/O "
            "goes to."
        ),
        remedy="Raise the target's limit, or ask for fewer I/O and write queues so that some are left to poll.",
        function="kprobe_tool.probes.nvme.checks:check",
    ),
    Check(
        id="nvme-cpu-balance",
        title="CPUs for each NVMe queue",
        severity=Severity.LOW,
        system="nvme",
        needs=Needs(Root.SOMETIMES, others=("an NVMe controller", "a namespace")),
        references=("block/blk-mq-cpumap.c blk_mq_map_queues()",),
        meaning=(
            "Some default queues serve at least two CPUs more than others, so the I/O of some CPUs has less of the "
            "queue than that of others. Isolated CPUs (isolcpus, nohz_full) are in no cpu_list and submit I/O all "
            "the same; which queue serves them is in debugfs, for root."
        ),
        look_for="cpus_per_queue has numbers that differ by two or more.",
        remedy="Ask for a number of queues that divides the CPUs evenly.",
        function="kprobe_tool.probes.nvme.checks:check",
    ),
)
