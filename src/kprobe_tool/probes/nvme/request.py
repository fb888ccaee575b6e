# SPDX-License-Identifier: GPL-2.0-or-later
"""How many I/O queues a host asked a controller for, how that is known, and how far it can be trusted.

The kernel keeps what a request is computed from, not the request: module parameters that can be written since, and
the CPUs that were online then. So a request is a number with two bounds, and exact only where they meet.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import NamedTuple

from kprobe_tool.native import kallsyms, nvme
from kprobe_tool.native.sysfs import Tree
from kprobe_tool.probes.nvme.attributes import CLASS
from kprobe_tool.probes.nvme.configuration import Configuration
from kprobe_tool.probes.nvme.controllers import Controller, Cpus, Parameters
from kprobe_tool.probes.nvme.split import Algorithm, Options, request

NVME_DISC_SUBSYS_NAME = "nqn.2014-08.org.nvmexpress.discovery"
"""linux/nvme.h"""


class RequestSource(StrEnum):
    """Where the figure comes from, best first."""

    KCORE = "kcore"
    KPROBE_EVENT = "kprobe-event"
    CONTROLLER_TYPE = "controller-type"
    MODULE_PARAMETERS = "module-parameters"
    CONFIGURATION = "configuration"
    ONLINE_CPUS = "online-cpus"


FROM_KERNEL = frozenset({RequestSource.KCORE, RequestSource.KPROBE_EVENT})


class QueueRequest(NamedTuple):
    """``value`` I/O queues, the best guess, None where nothing is known; what was asked for lies between ``at_least``
    and ``at_most``, None where that has no bound. ``doubt`` says in words what keeps the three from being one.

    ``next`` is what the next reset or reconnect asks for with the CPUs that are online now, None where it cannot be
    told. ``detail`` names the file of a configuration.
    """

    value: int | None
    source: RequestSource | None
    options: Options | None = None
    next: int | None = None
    detail: str | None = None
    num_comp_vectors: int | None = None
    io_queues: tuple[int, ...] | None = None
    at_least: int | None = None
    at_most: int | None = None
    doubt: str | None = None

    @property
    def exact(self) -> bool:
        """Nothing that the figure was computed from can have been another when the host asked."""
        return self.value is not None and self.at_least == self.value == self.at_most

    @property
    def running_options(self) -> Options | None:
        """The options, where the running kernel has them and no file or guess."""
        return self.options if self.source in FROM_KERNEL else None


class ConnectOptions(NamedTuple):
    """Options of one fabrics controller, and how they are known."""

    source: RequestSource
    options: Options
    detail: str | None = None
    num_comp_vectors: int | None = None
    max_hw_queues: int | None = None
    io_queues: tuple[int, ...] | None = None


class PciOptions(NamedTuple):
    """What the last reset of a PCI controller found, and how that is known."""

    source: RequestSource
    options: nvme.RunningPci


class Context(NamedTuple):
    """What a host says for all its controllers. ``running`` is by instance; ``configured`` is most specific first."""

    cpus: Cpus
    parameters: Parameters
    algorithm: Algorithm | None = None
    running: Mapping[int, ConnectOptions | PciOptions] = {}
    configured: Sequence[Configuration] = ()


def is_discovery(controller: Controller) -> bool:
    return controller.cntrltype == "discovery" or controller.subsysnqn == NVME_DISC_SUBSYS_NAME


def has_no_io_queues(controller: Controller) -> bool:
    """Discovery and administrative controllers: the kernel asks them for none. One that has some is asked all the
    same, as older kernels ask any controller that they do not know the type of."""
    return controller.granted == 0 and (is_discovery(controller) or controller.cntrltype == "admin")


def find_request(controller: Controller, context: Context) -> QueueRequest:
    """The best answer for one controller."""
    if has_no_io_queues(controller):
        # nvmf_parse_options() sets all three counts to 0 for discovery.
        return QueueRequest(0, RequestSource.CONTROLLER_TYPE, Options(0), 0, at_least=0, at_most=0)
    running = context.running.get(controller.instance)
    if controller.transport == "pcie":
        if isinstance(running, PciOptions):
            return sampled_pci_request(running, context.cpus)
        return parameters_pci_request(controller, context)
    if not controller.fabrics or context.cpus.online is None:
        return QueueRequest(None, None)
    online = len(context.cpus.online)
    if isinstance(running, ConnectOptions):
        return fabrics_request(controller, running, context)
    at_least = controller.granted or None
    for entry in context.configured:
        if entry.matches(controller):
            options = entry.options(online)
            value = request(context.algorithm or Algorithm.FABRICS, options, online)
            return QueueRequest(
                max(value, controller.granted or 0),
                RequestSource.CONFIGURATION,
                options,
                detail=entry.file,
                at_least=at_least,
                doubt=f"whether {entry.file} was used to connect is not known",
            )
    # The default of nvmf_parse_options(), and never less than was granted.
    return QueueRequest(
        max(online, controller.granted or 0),
        RequestSource.ONLINE_CPUS,
        at_least=at_least,
        doubt="the options of the connection are shown to root only; this is the default, one for each online CPU",
    )


def sampled_pci_request(running: PciOptions, cpus: Cpus) -> QueueRequest:
    """nvme_setup_io_queues() of drivers/nvme/host/pci.c: as many as were allocated when the device was found, or
    fewer where the module parameters were lower at the last reset, which not all versions look at."""
    found = running.options
    if cpus.possible is None:
        return QueueRequest(None, None)
    possible = len(cpus.possible)
    options = Options(possible, found.nr_write_queues, found.nr_poll_queues)
    if found.shared_tags:
        return QueueRequest(1, running.source, options, 1, at_least=1, at_most=1)
    allocated = found.nr_allocated_queues - 1
    sampled = min(possible + found.nr_write_queues + found.nr_poll_queues, allocated)
    doubt = None
    if sampled != allocated:
        doubt = (
            "write_queues or poll_queues were higher when the device was found; not all kernels ask for fewer then"
        )
    return QueueRequest(sampled, running.source, options, at_least=sampled, at_most=allocated, doubt=doubt)


def parameters_pci_request(controller: Controller, context: Context) -> QueueRequest:
    """nvme_max_io_queues() of drivers/nvme/host/pci.c: one for each possible CPU, and the two parameters.

    Both parameters can be written at any time and count at the next reset; the possible CPUs never change. Devices
    that share tags with the admin queue are asked for one queue, which nothing in sysfs tells.
    """
    possible, parameters = context.cpus.possible, context.parameters
    if possible is None or parameters.write_queues is None or parameters.poll_queues is None:
        return QueueRequest(None, None)
    options = Options(len(possible), parameters.write_queues, parameters.poll_queues)
    granted = controller.granted or 0
    return QueueRequest(
        max(options.nr_io_queues + options.nr_write_queues + options.nr_poll_queues, granted),
        RequestSource.MODULE_PARAMETERS,
        options,
        at_least=max(len(possible), granted) if granted > 1 else granted,
        doubt="write_queues and poll_queues of the nvme module may have been others at the last reset"
        if granted > 1
        else "a device that shares tags with its admin queue is asked for 1 queue only",
    )


def fabrics_request(controller: Controller, connect_options: ConnectOptions, context: Context) -> QueueRequest:
    """What the options come to with the CPUs that were online when the host asked.

    ``nr_io_queues`` was limited to the CPUs online when it was parsed; write and poll queues, and all three at a
    reconnect, to those online at that time. A CPU that has been online ever since the controller was made was among
    them.
    """
    assert context.cpus.online is not None
    options = connect_options.options
    if controller.transport in {"fc", "loop"}:
        # Neither transport has write and poll queues.
        options = Options(options.nr_io_queues)
    algorithm = context.algorithm or Algorithm.FABRICS

    def ask_with(cpus: int) -> int:
        limit = cpus if connect_options.max_hw_queues is None else min(cpus, connect_options.max_hw_queues)
        return request(algorithm, options, limit, connect_options.num_comp_vectors)

    now = ask_with(len(context.cpus.online))
    most = ask_with(len(context.cpus.possible)) if context.cpus.possible is not None else None
    least = ask_with(context.cpus.cpus_online_since(controller))
    doubt = "CPUs may have been offline when the host asked"
    complete = True
    if context.algorithm is None:
        complete, doubt = False, "how this kernel computes what it asks for is not known"
    elif controller.transport == "fc" and connect_options.max_hw_queues is None:
        complete, doubt = False, "the limit of the FC port (max_hw_queues) cannot be read"
    elif (
        controller.transport == "rdma"
        and algorithm is not Algorithm.FABRICS
        and connect_options.num_comp_vectors is None
    ):
        complete, doubt = False, "the completion vectors of the RDMA device cannot be read"
    granted = controller.granted or 0
    # A host never asked for less than it was granted.
    least = max(least if complete else 0, granted)
    if most is not None:
        most = max(most, least)
    value = max(now, least)
    return QueueRequest(
        value,
        connect_options.source,
        options,
        now if complete else None,
        connect_options.detail,
        connect_options.num_comp_vectors,
        connect_options.io_queues,
        at_least=least,
        at_most=most,
        doubt=None if least == value == most else doubt,
    )


def read_kernel_options(
    tree: Tree, controllers: Sequence[Controller]
) -> tuple[dict[int, ConnectOptions | PciOptions], list[str]]:
    """What the running kernel keeps of its controllers' requests, and why not where that failed.

    /proc/kcore first, which only reads; then a kprobe event. What contradicts sysfs (queue_count) is left out: the
    lists of the kernel can change while they are read.
    """
    transports = {
        each.instance: each.transport or "" for each in controllers if each.fabrics or each.transport == "pcie"
    }
    if not transports or os.geteuid() != 0:
        return {}, []
    counts = {each.instance: each.queue_count for each in controllers}
    # The sources that failed, by their reason: where the kernel has no types both fail for the same one.
    reasons: dict[str, list[str]] = {}
    readers = (
        (RequestSource.KCORE, partial(read_kcore, transports)),
        (RequestSource.KPROBE_EVENT, partial(read_kprobe, tree, transports)),
    )
    for source, read in readers:
        try:
            answer = read()
        except (OSError, LookupError, ValueError) as error:
            reasons.setdefault(str(error), []).append(source)
            continue
        found = with_source(source, (each for number, each in answer.items() if each.queue_count == counts[number]))
        if found:
            return found, []
        reasons.setdefault("no controller there is one of those in sysfs", []).append(source)
    return {}, [f"{' and '.join(sources)}: {reason}" for reason, sources in reasons.items()]


def with_source(
    source: RequestSource, running: Iterable[nvme.RunningFabrics | nvme.RunningPci]
) -> dict[int, ConnectOptions | PciOptions]:
    """The options of each controller, by its instance, with the source that they are from."""
    return {
        each.instance: PciOptions(source, each)
        if isinstance(each, nvme.RunningPci)
        else ConnectOptions(
            source,
            Options(each.nr_io_queues, each.nr_write_queues, each.nr_poll_queues),
            num_comp_vectors=each.num_comp_vectors,
            max_hw_queues=each.max_hw_queues,
            io_queues=each.io_queues,
        )
        for each in running
    }


def read_kcore(transports: Mapping[int, str]) -> dict[int, nvme.RunningFabrics | nvme.RunningPci]:
    return nvme.from_kcore(kallsyms.address_of("nvme_subsystems"), transports)


def read_kprobe(tree: Tree, transports: Mapping[int, str]) -> dict[int, nvme.RunningFabrics | nvme.RunningPci]:
    def touch() -> None:
        for number in transports:
            try:
                tree.read(f"{CLASS}/nvme{number}", "transport")
            except OSError:
                continue

    return nvme.from_kprobe(transports, touch)
