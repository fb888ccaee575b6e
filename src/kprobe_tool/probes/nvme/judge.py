# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with a controller's queues now, and what breaks at the next reset or reconnect.

One function a check (the rows are in checks.py), each judging one controller. ``audit`` takes the worst of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kprobe_tool.checks import Finding, Method, Status
from kprobe_tool.probes.nvme.ask import Subject, Survey
from kprobe_tool.probes.nvme.controllers import Hctx, Path
from kprobe_tool.probes.nvme.request import is_discovery
from kprobe_tool.probes.nvme.split import Algorithm, Options, Split, deadly_grants
from kprobe_tool.probes.nvme.types import poll_on_zero

ROOT = "root on the live host: the kernel shows neither the options nor, to others, the types of the queues"


def absent(reason: str) -> Finding:
    return Finding(Status.NOT_APPLICABLE, reason)


def fine(reason: str, method: Method = Method.PROBE) -> Finding:
    return Finding(Status.OK, reason, method)


def unknown(reason: str, settle: str) -> Finding:
    return Finding(Status.UNKNOWN, reason, settle=settle)


def affected(reason: str, method: Method = Method.PROBE, **evidence: object) -> Finding:
    return Finding(Status.AFFECTED, reason, method, evidence)


def granted(survey: Survey, subject: Subject) -> Finding:
    """nvme-queues-granted: fewer granted than asked, and who set the limit."""
    controller, request = subject.controller, subject.request
    if is_discovery(controller):
        return absent("a discovery controller has no I/O queues")
    if controller.granted is None:
        return unknown("queue_count cannot be read", "a readable queue_count in sysfs (since v5.10)")
    if request.value is None:
        return unknown("how many queues were asked for is not known", ROOT)
    if not request.exact:
        return unknown(f"{controller.granted} granted; that {request.value} were asked for is inferred", ROOT)
    if controller.granted >= request.value:
        return fine(f"{controller.granted} asked and granted")
    limit = "who set the limit is told by --query-controller"
    by = None
    if subject.nsqa is not None:
        by = "controller" if subject.nsqa <= controller.granted else "host"
        limit = f"the {by} set the limit: the controller has {subject.nsqa}"
    return affected(
        f"{request.value} asked, {controller.granted} granted; {limit}",
        asked=request.value,
        granted=controller.granted,
        limited_by=by,
    )


def shortfall_oops(survey: Survey, subject: Subject) -> Finding:
    """nvme-shortfall-oops: kernels that map queues by the request, where any shortfall is a NULL dereference."""
    if subject.controller.transport not in {"rdma", "tcp"}:
        return absent("nvme-rdma and nvme-tcp only")
    if survey.algorithm is None:
        return unknown("which kernel this is from is not known", "the live host")
    if survey.algorithm is Algorithm.REQUEST:
        return affected("this kernel maps queues as asked, granted or not; a shortfall is an oops", Method.VERSION)
    return fine("this kernel maps queues as granted", Method.SYMBOL)


def stale_io_queues(survey: Survey, subject: Subject) -> Finding:
    """nvme-stale-io-queues: read or poll queues now, and a smaller grant on the next connect."""
    controller, path = subject.controller, subject.controller.path
    if controller.transport not in {"rdma", "tcp"}:
        return absent("nvme-rdma and nvme-tcp only")
    if path is None:
        return absent("no mapped queues")
    if path.type_source is None:
        return unknown("whether there are read or poll queues is not known", ROOT)
    now = split_of(path)
    if not now.read and not now.poll:
        return fine("neither read nor poll queues")
    options = subject.request.options if subject.request.exact else None
    grants = deadly_grants(
        survey.algorithm or Algorithm.FABRICS,
        options or fewest_options(now),
        now,
        len(path.hctxs),
        cpus=len(survey.cpus.possible or ()) or max(max(hctx.cpus, default=0) for hctx in path.hctxs) + 1,
        comp_vectors=subject.request.num_comp_vectors,
    )
    if not grants:
        return fine("no smaller grant leaves a stale count that matters")
    return affected(
        f"exposed: {now.read} read and {now.poll} poll queues; a reset or reconnect granted "
        f"{spans(grants)} instead of {len(path.hctxs)} is a NULL dereference",
        Method.SYMBOL,
        read=now.read,
        poll=now.poll,
        mapped=len(path.hctxs),
        deadly_grants=list(grants),
    )


def split_of(path: Path) -> Split:
    return Split(path.count("default") or 0, path.count("read") or 0, path.count("poll") or 0)


def fewest_options(now: Split) -> Options:
    """The smallest options that give this split. All options that give it have the same deadly grants."""
    return Options(now.read or now.default, now.default if now.read else 0, now.poll)


def hctx_offline_cpus(survey: Survey, subject: Subject) -> Finding:
    """nvme-hctx-offline-cpus: an hctx without an online CPU, on which no fabrics controller can connect.

    blk_mq_alloc_request_hctx() gives EXDEV there. Connecting goes through the hctxs of the map from before, as many
    as there will be queues, so one past the next request is not reached before the CPUs are mapped anew.
    """
    controller, path, online = subject.controller, subject.controller.path, survey.cpus.online
    if not controller.fabrics:
        return absent("fabrics only: a PCI queue needs no CPU to be set up")
    if path is None:
        return absent("no mapped queues")
    if online is None:
        return unknown("which CPUs are online is not known", "a readable devices/system/cpu/online in sysfs")
    alive = set(online)
    lost = [hctx for hctx in path.hctxs if not hctx.cut and not alive.intersection(hctx.cpus)]
    if not lost:
        return fine("every hctx has an online CPU")
    reached = len(path.hctxs)
    if subject.request.exact and subject.request.next is not None:
        reached = min(reached, subject.request.next)
    elif path.type_source is not None and path.count("default") == len(path.hctxs):
        reached = min(reached, len(online))
    indices = [hctx.index for hctx in lost if hctx.index < reached]
    if not indices:
        return fine(f"{hctx_names(lost)} without an online CPU, but the next connect asks for {reached} only")
    stuck = hctx_names([hctx for hctx in lost if hctx.index < reached])
    return affected(
        f"{stuck} without an online CPU: after a reset or a lost connection the controller cannot come back until "
        "one is online (EXDEV)",
        hctxs=indices,
        cpus=sorted({cpu for hctx in lost for cpu in hctx.cpus}),
        state=controller.state,
    )


def hctx_names(hctxs: Sequence[Hctx]) -> str:
    return ("hctx " if len(hctxs) == 1 else "hctxs ") + spans([hctx.index for hctx in hctxs])


def queue_count(survey: Survey, subject: Subject) -> Finding:
    """nvme-queue-count: queue_count is updated before queues are mapped anew, and stays so where that fails."""
    controller, path = subject.controller, subject.controller.path
    if controller.granted is None or path is None:
        return absent("no mapped queues")
    mapped = len(path.hctxs)
    if controller.granted == mapped:
        return fine(f"{mapped} granted and mapped")
    if not controller.fabrics and controller.granted > mapped:
        return fine(f"{controller.granted - mapped} of {controller.granted} queues have no CPU")
    return affected(
        f"queue_count stands for {controller.granted} I/O queues, {mapped} are mapped: a reconnect or reset that "
        f"failed or is under way (state {controller.state})",
        granted=controller.granted,
        mapped=mapped,
        state=controller.state,
    )


def path_queues(survey: Survey, subject: Subject) -> Finding:
    """nvme-path-queues: paths of one subsystem with different numbers of queues."""
    controller = subject.controller
    counts = survey.paths.get(controller.subsysnqn or "", {})
    if controller.granted is None or len(counts) < 2:
        return absent("the only path that is known")
    if len(set(counts.values())) == 1:
        return fine(f"{len(counts)} paths with {controller.granted} queues each")
    most = max(counts.values())
    if controller.granted == most:
        return fine("no path of the subsystem has more queues")
    return affected(f"{controller.granted} queues where another path has {most}", paths=dict(counts))


def poll_queues(survey: Survey, subject: Subject) -> Finding:
    """nvme-poll-queues: poll queues asked for and none there, which debugfs hides behind hctx 0."""
    path, request = subject.controller.path, subject.request
    if path is None:
        return absent("no mapped queues")
    wanted = bool(request.options.nr_poll_queues) if request.exact and request.options else path.io_poll
    if not wanted:
        return absent("no poll queues were asked for")
    polling = path.count("poll")
    if polling is None:
        return unknown("poll queues were asked for; whether there are any is not known", ROOT)
    if polling:
        return fine(f"poll queues: {polling}")
    return affected(
        "poll queues were asked for and none was granted: polled I/O goes to a default queue",
        asked=request.options.nr_poll_queues if request.exact and request.options else None,
        hctx_0_shown=path.hctxs[0].shown,
    )


def cpu_balance(survey: Survey, subject: Subject) -> Finding:
    """nvme-cpu-balance: default queues that serve clearly different numbers of CPUs."""
    path = subject.controller.path
    if path is None:
        return absent("no mapped queues")
    if path.type_source is None:
        return unknown("which hctxs are default queues is not known", ROOT)
    counts = default_cpus(path)
    if len(counts) < 2:
        return absent("one default queue")
    fewest, most = min(counts.values()), max(counts.values())
    if most - fewest <= 1:
        return fine(f"{most} CPUs per default queue, {fewest} at least")
    return affected(f"{fewest} to {most} CPUs per default queue", cpus_per_queue=counts)


def default_cpus(path: Path) -> dict[int, int]:
    """CPUs of each default hctx; those that an untouched poll map has put on hctx 0 are not its own."""
    defaults = {hctx.index: set(hctx.cpus) for hctx in path.hctxs if hctx.type == "default"}
    types = [hctx.type for hctx in path.hctxs if hctx.type is not None]
    if poll_on_zero([hctx.cpus for hctx in path.hctxs], types):
        for index, cpus in defaults.items():
            if index != path.hctxs[0].index:
                defaults[path.hctxs[0].index] -= cpus
    return {index: len(cpus) for index, cpus in defaults.items()}


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
    "nvme-queues-granted": granted,
    "nvme-shortfall-oops": shortfall_oops,
    "nvme-stale-io-queues": stale_io_queues,
    "nvme-hctx-offline-cpus": hctx_offline_cpus,
    "nvme-queue-count": queue_count,
    "nvme-path-queues": path_queues,
    "nvme-poll-queues": poll_queues,
    "nvme-cpu-balance": cpu_balance,
}


def judge_controller(survey: Survey, subject: Subject) -> dict[str, Finding]:
    """Every check's finding on one controller, by id."""
    return {name: function(survey, subject) for name, function in JUDGES.items()}
