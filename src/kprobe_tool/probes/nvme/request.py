# SPDX-License-Identifier: GPL-2.0-or-later
"""How many I/O queues a host asked a controller for, and how that is known.

A PCI controller is asked by a formula whose parts everybody can read. A fabrics controller is asked by options that
the kernel shows nobody: root reads them from the running kernel; otherwise there are files that may have been used,
and the default, one queue per online CPU. Only the first two are more than a guess, and each says which it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from kprobe_tool.native import kcore, nvme
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
    MODULE_PARAMETERS = "module-parameters"
    DISCOVERY = "discovery"
    CONFIGURATION = "configuration"
    ONLINE_CPUS = "online-cpus"


EXACT = frozenset(
    {RequestSource.KCORE, RequestSource.KPROBE_EVENT, RequestSource.MODULE_PARAMETERS, RequestSource.DISCOVERY}
)


@dataclass(frozen=True)
class QueueRequest:
    """``value`` I/O queues, None where nothing is known. ``next`` is what the next reset or reconnect asks for with
    the CPUs that are online now. ``detail`` names the file of a configuration."""

    value: int | None
    source: RequestSource | None
    options: Options | None = None
    next: int | None = None
    detail: str | None = None
    num_comp_vectors: int | None = None
    io_queues: tuple[int, ...] | None = None

    @property
    def exact(self) -> bool:
        """Read from what the kernel used, not inferred."""
        return self.source in EXACT


def is_discovery(controller: Controller) -> bool:
    return controller.cntrltype == "discovery" or controller.subsysnqn == NVME_DISC_SUBSYS_NAME


@dataclass(frozen=True)
class ConnectOptions:
    """Options of one controller, and how they are known."""

    source: RequestSource
    options: Options
    detail: str | None = None
    num_comp_vectors: int | None = None
    io_queues: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Context:
    """What a host says for all its controllers. ``running`` is by instance; ``configured`` is most specific first."""

    cpus: Cpus
    parameters: Parameters
    algorithm: Algorithm | None = None
    running: Mapping[int, ConnectOptions] = field(default_factory=dict)
    configured: Sequence[Configuration] = ()


def find_request(controller: Controller, context: Context) -> QueueRequest:
    """The best answer for one controller."""
    if is_discovery(controller):
        # nvmf_parse_options() sets all three counts to 0 there.
        return QueueRequest(0, RequestSource.DISCOVERY, Options(0), 0)
    if controller.transport == "pcie":
        return pci_request(context)
    if not controller.fabrics or context.cpus.online is None:
        return QueueRequest(None, None)
    online = len(context.cpus.online)
    known = context.running.get(controller.instance)
    if known is None:
        known = next(
            (
                ConnectOptions(RequestSource.CONFIGURATION, entry.options(online), entry.file)
                for entry in context.configured
                if entry.matches(controller)
            ),
            None,
        )
    if known is not None:
        return fabrics_request(controller, known, online, context.algorithm or Algorithm.FABRICS)
    # The default of nvmf_parse_options(); what was granted was asked for at least.
    return QueueRequest(max(online, controller.granted or 0), RequestSource.ONLINE_CPUS)


def pci_request(context: Context) -> QueueRequest:
    """nvme_max_io_queues() of drivers/nvme/host/pci.c: one for each possible CPU, and the two parameters."""
    possible, parameters = context.cpus.possible, context.parameters
    if possible is None or parameters.write_queues is None or parameters.poll_queues is None:
        return QueueRequest(None, None)
    value = len(possible) + parameters.write_queues + parameters.poll_queues
    options = Options(len(possible), parameters.write_queues, parameters.poll_queues)
    return QueueRequest(value, RequestSource.MODULE_PARAMETERS, options, value)


def fabrics_request(controller: Controller, known: ConnectOptions, online: int, algorithm: Algorithm) -> QueueRequest:
    """What options come to with the online CPUs.

    When that is less than was granted, CPUs went offline since; what was asked for then is the options' own sum,
    as nr_io_queues is limited to the online CPUs of its time when it is parsed.
    """
    options = known.options
    if controller.transport in {"fc", "loop"}:
        # Neither knows write and poll queues.
        options = Options(options.nr_io_queues)
    value = now = request(algorithm, options, online, known.num_comp_vectors)
    if controller.granted is not None and now < controller.granted:
        value = options.nr_io_queues + options.nr_write_queues + options.nr_poll_queues
    return QueueRequest(value, known.source, options, now, known.detail, known.num_comp_vectors, known.io_queues)


def read_kernel_options(tree: Tree, controllers: Sequence[Controller]) -> tuple[dict[int, ConnectOptions], list[str]]:
    """The options of the fabrics controllers from the running kernel, and why not where that failed.

    /proc/kcore first, which only reads; then a kprobe event. What contradicts sysfs (queue_count) is left out: the
    lists of the kernel can change while they are read.
    """
    transports = {each.instance: each.transport or "" for each in controllers if each.fabrics}
    if not transports or os.geteuid() != 0:
        return {}, []
    counts = {each.instance: each.queue_count for each in controllers}
    reasons: list[str] = []
    ways = (
        (RequestSource.KCORE, partial(read_kcore, transports)),
        (RequestSource.KPROBE_EVENT, partial(read_kprobe, tree, transports)),
    )
    for source, way in ways:
        try:
            answer = way()
        except (OSError, LookupError, ValueError) as error:
            reasons.append(f"{source}: {error}")
            continue
        found = {
            number: ConnectOptions(
                source,
                Options(each.nr_io_queues, each.nr_write_queues, each.nr_poll_queues),
                num_comp_vectors=each.num_comp_vectors,
                io_queues=each.io_queues,
            )
            for number, each in answer.items()
            if each.queue_count == counts[number]
        }
        if found:
            return found, []
        reasons.append(f"{source}: no controller there is one of those in sysfs")
    return {}, reasons


def read_kcore(transports: dict[int, str]) -> dict[int, nvme.Running]:
    return nvme.from_kcore(kcore.address_of("nvme_subsystems"), transports)


def read_kprobe(tree: Tree, transports: dict[int, str]) -> dict[int, nvme.Running]:
    def touch() -> None:
        for number in transports:
            try:
                tree.read(f"{CLASS}/nvme{number}", "transport")
            except OSError:
                continue

    return nvme.from_kprobe(transports, touch)
