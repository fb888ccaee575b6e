# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with a controller's queues now, and what breaks at the next reset or reconnect.

One function a check, each judging one controller by what was read of it. What a judge needs and was not read is
unknown: a controller that cannot be read is the one these checks exist for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from kprobe_tool.checks import Finding, Method, Status
from kprobe_tool.probes.nvme.ask import Subject, Survey
from kprobe_tool.probes.nvme.controllers import Hctx, NvmePath
from kprobe_tool.probes.nvme.needs import NotRead, granted_of, is_rdma_or_tcp, mapped_path, not_read, transport_of
from kprobe_tool.probes.nvme.request import QueueRequest, has_no_io_queues, is_discovery
from kprobe_tool.probes.nvme.split import Algorithm, Options, Split, deadly_grants, request
from kprobe_tool.probes.nvme.types import poll_on_zero

ROOT = "root on the live host: only root can read the options of a connection and the types of its queues"

NEWEST_READ = (7, 3)
"""The newest Linux whose nvmf_set_io_queues() was read, and keeps stale counts. A later one may be fixed."""


def not_applicable(reason: str) -> Finding:
    return Finding(Status.NOT_APPLICABLE, reason)


def ok(reason: str, method: Method = Method.PROBE) -> Finding:
    return Finding(Status.OK, reason, method)


def unknown(reason: str, settle: str) -> Finding:
    return Finding(Status.UNKNOWN, reason, settle=settle)


def affected(reason: str, method: Method = Method.PROBE, **evidence: object) -> Finding:
    return Finding(Status.AFFECTED, reason, method, evidence)


def count(number: int, noun: str) -> str:
    """``1 queue``, ``2 queues``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


NO_QUEUES = "no namespace, so no queues are mapped"


def queues_granted(survey: Survey, subject: Subject) -> Finding:
    """nvme-queues-granted: fewer granted than asked, and who set the limit."""
    controller, request = subject.controller, subject.request
    if has_no_io_queues(controller):
        return not_applicable("a discovery or administrative controller has no I/O queues")
    granted = granted_of(controller)
    if request.value is None:
        transport_of(controller)
        return unknown("how many queues were asked for is not known", ROOT)
    if request.at_least is not None and granted < request.at_least:
        return affected(
            f"{count(granted, 'queue')} granted of {request_text(request)} asked for, so CPUs share them; "
            f"{limit_text(subject, granted)}",
            asked=request.value,
            asked_at_least=request.at_least,
            granted=granted,
            limited_by=limited_by(subject, granted),
        )
    if request.at_most is not None and granted >= request.at_most:
        return ok(f"{count(granted, 'queue')} asked for and granted")
    settle = ROOT if request.running_options is None else "a new connection, made while all CPUs are online"
    return unknown(f"{count(granted, 'queue')} granted of perhaps {request.value} asked for: {request.doubt}", settle)


def request_text(request: QueueRequest) -> str:
    return f"{request.value}" if request.exact else f"at least {request.at_least}"


def limited_by(subject: Subject, granted: int) -> str | None:
    """Whose limit it was, where the controller was queried."""
    if subject.nsqa is None:
        return None
    return "controller" if subject.nsqa <= granted else "host"


def limit_text(subject: Subject, granted: int) -> str:
    by = limited_by(subject, granted)
    if by is None:
        return "'nvme-queues --query-controller' says whose limit it is"
    return f"the limit is the {by}'s: the controller has {count(subject.nsqa or 0, 'queue')}"


def shortfall_oops(survey: Survey, subject: Subject) -> Finding:
    """nvme-shortfall-oops: kernels that map queues by the request, where any shortfall is a NULL dereference."""
    if not is_rdma_or_tcp(subject.controller):
        return not_applicable("concerns nvme-rdma and nvme-tcp only")
    if survey.algorithm is None:
        return unknown(
            "how the kernel maps CPUs to queues here is not known", "the live host, with /proc/kallsyms readable"
        )
    if survey.algorithm is Algorithm.REQUEST:
        return affected(
            "the kernel crashes if the target grants fewer queues than asked for: it maps CPUs to all of those",
            Method.VERSION,
        )
    return ok("this kernel maps CPUs to the queues that were granted", Method.SYMBOL)


def stale_io_queues(survey: Survey, subject: Subject) -> Finding:
    """nvme-stale-io-queues: read or poll queues now, and a smaller grant on the next connect."""
    controller = subject.controller
    if not is_rdma_or_tcp(controller):
        return not_applicable("concerns nvme-rdma and nvme-tcp only")
    now = controller.split
    if now is None:
        if mapped_path(controller) is None:
            return not_applicable(NO_QUEUES)
        return unknown("whether it has read or poll queues is not known", ROOT)
    if not now.read and not now.poll:
        return ok("it has neither read nor poll queues, so no old counts of them can be kept")
    grants = deadly_grants(
        survey.algorithm or Algorithm.FABRICS,
        subject.request.running_options or fewest_options(now),
        now,
        now.total,
        # With more CPUs than queues each queue has one, which is all that counts.
        cpus=len(survey.cpus.possible or ()) or now.total,
        comp_vectors=subject.request.num_comp_vectors,
    )
    if not grants:
        return ok("no smaller grant makes a kept count crash the kernel", Method.MODEL)
    grant = f"grants {spans(grants)} instead of {count(now.total, 'queue')}"
    if survey.release is not None and is_newer(survey.release):
        return unknown(
            f"whether Linux {survey.release} still crashes if the target {grant} at a reconnect is not known",
            "a release of kprobe-tool that knows this kernel",
        )
    return affected(
        f"kernel crash if the target {grant} at the next reset or reconnect: {now.read} read and {now.poll} poll "
        "would be counted as before (NULL dereference)",
        Method.MODEL,
        read=now.read,
        poll=now.poll,
        mapped=now.total,
        deadly_grants=list(grants),
    )


def is_newer(release: str) -> bool:
    """Whether a kernel is newer than those that are known to keep stale counts."""
    match = re.match(r"(\d+)\.(\d+)", release)
    return match is None or (int(match[1]), int(match[2])) > NEWEST_READ


def fewest_options(now: Split) -> Options:
    """The smallest options that give this split. All options that give it have the same deadly grants."""
    return Options(now.read or now.default, now.default if now.read else 0, now.poll)


def hctx_offline_cpus(survey: Survey, subject: Subject) -> Finding:
    """nvme-hctx-offline-cpus: an hctx without an online CPU, on which no fabrics controller can connect.

    blk_mq_alloc_request_hctx() gives EXDEV there. A reconnect connects as many hctxs as there will be queues, by the
    old map, before it maps the CPUs anew. So an hctx past the next request does no harm.
    """
    controller, online = subject.controller, survey.cpus.online
    transport_of(controller)
    if not controller.fabrics:
        return not_applicable("concerns fabrics only: setting up a PCI queue takes no CPU of its own")
    path = mapped_path(controller)
    if path is None:
        return not_applicable(NO_QUEUES)
    if online is None:
        return unknown("which CPUs are online is not known", "a readable devices/system/cpu/online in sysfs")
    alive = set(online)
    lost = [hctx for hctx in path.hctxs if not alive.intersection(hctx.cpus)]
    if not lost:
        return ok("every queue has an online CPU")
    if any(hctx.cut for hctx in lost):
        return unknown("the CPUs listed for a queue are all offline, and the kernel cut the list short", ROOT)
    running = subject.request.running_options is not None
    following = subject.request.next if running else None
    if following is None and controller.split is not None:
        # The mapped queues were asked for, and will be again, as far as enough CPUs are online.
        following = request(Algorithm.FABRICS, fewest_options(controller.split), len(online))
        certain = running
    else:
        certain = following is not None
    reached = len(path.hctxs) if following is None else min(len(path.hctxs), following)
    stuck = [hctx for hctx in lost if hctx.queue_num < reached]
    if stuck and following is not None:
        return affected(
            f"it cannot reconnect after a reset or a lost connection until a CPU of {hctx_names(stuck)} is online: "
            "all of them are offline (EXDEV)",
            hctxs=[hctx.queue_num for hctx in stuck],
            cpus=sorted({cpu for hctx in lost for cpu in hctx.cpus}),
            state=controller.state,
        )
    if certain and not stuck:
        return ok(
            f"{hctx_names(lost)} without an online CPU, which the next connect does not reach: it asks for "
            f"{count(reached, 'queue')}"
        )
    return unknown(
        f"{hctx_names(lost)} without an online CPU; whether the next connect reaches it is not known", ROOT
    )


def hctx_names(hctxs: Sequence[Hctx]) -> str:
    return ("queue " if len(hctxs) == 1 else "queues ") + spans([hctx.queue_num for hctx in hctxs])


def queue_count(survey: Survey, subject: Subject) -> Finding:
    """nvme-queue-count: queue_count is updated before queues are mapped anew, and stays so where that fails."""
    controller = subject.controller
    granted, path = granted_of(controller), mapped_path(controller)
    transport_of(controller)
    if path is None:
        return not_applicable(NO_QUEUES)
    mapped = len(path.hctxs)
    if granted == mapped:
        return ok(f"{count(granted, 'queue')} granted and mapped")
    if controller.transport == "pcie" and granted > mapped:
        # blk_mq_map_queues() gives each CPU a queue of its own first: only then are queues left without a CPU.
        cpus = survey.cpus.possible
        if path.type_source is None or cpus is None:
            return unknown("whether the queues that are not mapped are those without a CPU is not known", ROOT)
        if any(path.queues_of(kind) == len(cpus) for kind in ("default", "read", "poll")):
            return ok(f"{granted - mapped} of {count(granted, 'queue')} not mapped: there are more than CPUs")
    return affected(
        f"{count(granted, 'queue')} granted, {mapped} mapped: a reset or reconnect failed or is under way "
        f"(state {controller.state})",
        granted=granted,
        mapped=mapped,
        state=controller.state,
    )


def path_queues(survey: Survey, subject: Subject) -> Finding:
    """nvme-path-queues: paths of one subsystem with different numbers of queues."""
    controller = subject.controller
    if is_discovery(controller) or has_no_io_queues(controller):
        return not_applicable("a discovery or administrative controller has no I/O queues")
    if controller.subsysnqn is None:
        raise not_read(controller, "subsysnqn")
    granted = granted_of(controller)
    counts = survey.paths.get(controller.subsysnqn, {})
    most = max(counts.values())
    if granted < most:
        return affected(
            f"{count(granted, 'queue')} where another path to its subsystem has {most}", paths=dict(counts)
        )
    others = [each.controller for each in survey.subjects if each.controller.name not in counts]
    unread = [
        each.name
        for each in others
        if each.subsysnqn is None or (each.subsysnqn == controller.subsysnqn and each.granted is None)
    ]
    if unread:
        return unknown(
            f"{', '.join(unread)} may be another path to its subsystem and cannot be read",
            "controllers that can be read; if one hangs, the kernel log may say why",
        )
    if len(counts) < 2:
        return not_applicable("it is the only path to its subsystem")
    return ok(f"no other of its {len(counts)} paths has more queues")


def poll_queues(survey: Survey, subject: Subject) -> Finding:
    """nvme-poll-queues: poll queues asked for and none there, which debugfs hides behind hctx 0."""
    controller, options = subject.controller, subject.request.running_options
    path = mapped_path(controller)
    if path is None:
        return not_applicable(NO_QUEUES)
    wanted = path.io_poll if options is None else options.nr_poll_queues > 0
    if wanted is None:
        return unknown("whether poll queues were asked for is not known: there is no queue/io_poll", ROOT)
    if not wanted:
        return not_applicable("no poll queues were asked for")
    polling = path.queues_of("poll")
    if polling is None:
        return unknown("poll queues were asked for; whether there are any is not known", ROOT)
    if polling:
        return ok(f"{count(polling, 'poll queue')} granted")
    return affected(
        "poll queues were asked for and none was granted: polled I/O goes to a default queue",
        asked=None if options is None else options.nr_poll_queues,
        hctx_0_shown=path.hctxs[0].shown,
    )


def cpu_balance(survey: Survey, subject: Subject) -> Finding:
    """nvme-cpu-balance: default queues that serve clearly different numbers of CPUs.

    blk_mq_map_swqueue() leaves isolated CPUs (isolcpus, nohz_full, cpuset) out of ``cpu_list``, and they submit I/O
    all the same; where debugfs does not say to which queue, they may be any queue's.
    """
    path = mapped_path(subject.controller)
    if path is None:
        return not_applicable(NO_QUEUES)
    if path.type_source is None:
        return unknown("which queues are default queues is not known", ROOT)
    defaults = default_cpus(path)
    if len(defaults) < 2:
        return not_applicable("it has 1 default queue")
    if any(hctx.cut for hctx in path.hctxs if hctx.queue_num in defaults and hctx.submitters is None):
        return unknown("the kernel cut the list of CPUs of a queue short", ROOT)
    counts = {index: len(cpus) for index, cpus in defaults.items()}
    hidden: set[int] = set()
    if any(hctx.submitters is None for hctx in path.hctxs if hctx.queue_num in defaults):
        if survey.cpus.possible is None:
            return unknown("which CPUs there are is not known", "a readable devices/system/cpu/possible in sysfs")
        hidden = set(survey.cpus.possible).difference(*defaults.values())
    fewest, most = min(counts.values()), max(counts.values())
    if most - best_minimum(counts, len(hidden)) > 1:
        return affected(f"{fewest} to {count(most, 'CPU')} for each default queue", cpus_per_queue=counts)
    if hidden:
        isolated = count(len(hidden), "CPU")
        return unknown(
            f"which queues serve {isolated} ({spans(sorted(hidden))}), isolated from the lists, is not known", ROOT
        )
    return ok(f"{count(most, 'CPU')} for each default queue" + (f", {fewest} at least" if fewest < most else ""))


def best_minimum(counts: Mapping[int, int], more: int) -> int:
    """How many CPUs the queue with the fewest has, if ``more`` CPUs are dealt out as evenly as possible."""
    levels = sorted(counts.values())
    for _ in range(more):
        levels[0] += 1
        levels.sort()
    return levels[0]


def default_cpus(path: NvmePath) -> dict[int, set[int]]:
    """CPUs of each default hctx; those that an untouched poll map has put on hctx 0 are not its own."""
    cpus = [set(hctx.cpus if hctx.submitters is None else hctx.submitters) for hctx in path.hctxs]
    defaults = {hctx.queue_num: each for hctx, each in zip(path.hctxs, cpus, strict=True) if hctx.type == "default"}
    types = [hctx.type for hctx in path.hctxs if hctx.type is not None]
    if poll_on_zero([tuple(each) for each in cpus], types):
        for index, each in defaults.items():
            if index != path.hctxs[0].queue_num:
                defaults[path.hctxs[0].queue_num] -= each
    return defaults


def spans(numbers: Sequence[int]) -> str:
    """``1-3, 8`` of ascending numbers."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] + 1 == number:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts)


JUDGES: dict[str, Callable[[Survey, Subject], Finding]] = {
    "nvme-queues-granted": queues_granted,
    "nvme-shortfall-oops": shortfall_oops,
    "nvme-stale-io-queues": stale_io_queues,
    "nvme-hctx-offline-cpus": hctx_offline_cpus,
    "nvme-queue-count": queue_count,
    "nvme-path-queues": path_queues,
    "nvme-poll-queues": poll_queues,
    "nvme-cpu-balance": cpu_balance,
}


def judge(check_id: str, survey: Survey, subject: Subject) -> Finding:
    """One check's finding on one controller."""
    try:
        return JUDGES[check_id](survey, subject)
    except NotRead as lack:
        return unknown(str(lack), lack.settle)


def judge_controller(survey: Survey, subject: Subject) -> dict[str, Finding]:
    """Every check's finding on one controller, by id."""
    return {check_id: judge(check_id, survey, subject) for check_id in JUDGES}
