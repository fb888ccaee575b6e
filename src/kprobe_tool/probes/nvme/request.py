# SPDX-License-Identifier: GPL-2.0-or-later
"""How many I/O queues a host asked a controller for, and how that is known.

A PCI controller is asked by a formula whose parts everybody can read. A fabrics controller is asked by options that
the kernel shows nobody: root reads them from the running kernel; otherwise there are files that may have been used,
and the default, one queue per online CPU. Only the first two are more than a guess, and each says which it is.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from kprobe_tool.native import kcore, nvme
from kprobe_tool.native.sysfs import Tree
from kprobe_tool.probes.nvme.controllers import CLASS, Controller, Cpus, Parameters
from kprobe_tool.probes.nvme.split import Algorithm, Options, request

NVME_DISC_SUBSYS_NAME = "nqn.2014-08.org.nvmexpress.discovery"
"""linux/nvme.h"""

CONFIG_MAX = 1 << 20


class Source(StrEnum):
    """Where the figure comes from, best first."""

    KCORE = "kcore"
    KPROBE_EVENT = "kprobe-event"
    MODULE_PARAMETERS = "module-parameters"
    DISCOVERY = "discovery"
    CONFIGURATION = "configuration"
    ONLINE_CPUS = "online-cpus"


EXACT = frozenset({Source.KCORE, Source.KPROBE_EVENT, Source.MODULE_PARAMETERS, Source.DISCOVERY})


@dataclass(frozen=True)
class Asked:
    """``value`` I/O queues, None where nothing is known. ``next`` is what the next reset or reconnect asks for with
    the CPUs that are online now. ``detail`` names the file of a configuration."""

    value: int | None
    source: Source | None
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
class Known:
    """Options of one controller, and how they are known."""

    source: Source
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
    running: Mapping[int, Known] = field(default_factory=dict)
    configured: Sequence[Configured] = ()


def asked(controller: Controller, context: Context) -> Asked:
    """The best answer for one controller."""
    if is_discovery(controller):
        # nvmf_parse_options() sets all three counts to 0 there.
        return Asked(0, Source.DISCOVERY, Options(0), 0)
    if controller.transport == "pcie":
        return of_pci(context)
    if not controller.fabrics or context.cpus.online is None:
        return Asked(None, None)
    online = len(context.cpus.online)
    known = context.running.get(controller.instance)
    if known is None:
        known = next((entry.known(online) for entry in context.configured if entry.matches(controller)), None)
    if known is not None:
        return of_options(controller, known, online, context.algorithm or Algorithm.FABRICS)
    # The default of nvmf_parse_options(); what was granted was asked for at least.
    return Asked(max(online, controller.granted or 0), Source.ONLINE_CPUS)


def of_pci(context: Context) -> Asked:
    """nvme_max_io_queues() of drivers/nvme/host/pci.c: one for each possible CPU, and the two parameters."""
    possible, parameters = context.cpus.possible, context.parameters
    if possible is None or parameters.write_queues is None or parameters.poll_queues is None:
        return Asked(None, None)
    value = len(possible) + parameters.write_queues + parameters.poll_queues
    options = Options(len(possible), parameters.write_queues, parameters.poll_queues)
    return Asked(value, Source.MODULE_PARAMETERS, options, value)


def of_options(controller: Controller, known: Known, online: int, algorithm: Algorithm) -> Asked:
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
    return Asked(value, known.source, options, now, known.detail, known.num_comp_vectors, known.io_queues)


def from_kernel(tree: Tree, controllers: Sequence[Controller]) -> tuple[dict[int, Known], list[str]]:
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
        (Source.KCORE, partial(read_kcore, transports)),
        (Source.KPROBE_EVENT, partial(read_kprobe, tree, transports)),
    )
    for source, way in ways:
        try:
            answer = way()
        except (OSError, LookupError, ValueError) as error:
            reasons.append(f"{source}: {error}")
            continue
        found = {
            number: Known(
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


COUNTS = ("nr_io_queues", "nr_write_queues", "nr_poll_queues")


@dataclass(frozen=True)
class Configured:
    """Queue counts that a file wants for connections, those of COUNTS that it sets."""

    file: str
    counts: Mapping[str, int]
    transport: str | None = None
    traddr: str | None = None
    subsysnqn: str | None = None

    def matches(self, controller: Controller) -> bool:
        """Whether a controller may have been connected by this; what the file leaves open matches anything."""
        words = (controller.address or "").split(",")
        return (
            self.transport in {None, controller.transport}
            and self.subsysnqn in {None, controller.subsysnqn}
            and (self.traddr is None or f"traddr={self.traddr}" in words)
        )

    def known(self, online: int) -> Known:
        """The options that a connect with these counts has now."""
        options = Options(
            min(online, self.counts.get("nr_io_queues", online)),
            self.counts.get("nr_write_queues", 0),
            self.counts.get("nr_poll_queues", 0),
        )
        return Known(Source.CONFIGURATION, options, self.file)


def configured(etc: str = "/etc") -> list[Configured]:
    """What nvme-cli's and nvme-stas' files say about queue counts, most specific first."""
    found: list[Configured] = []
    for name, parse in (
        ("nvme/config.json", parse_config_json),
        ("nvme/discovery.conf", parse_discovery_conf),
        ("stas/stacd.conf", parse_stacd_conf),
    ):
        path = f"{etc}/{name}"
        try:
            with open(path, encoding="utf-8", errors="backslashreplace") as file:
                content = file.read(CONFIG_MAX)
        except OSError:
            continue
        found += [entry for entry in parse(path, content) if entry.counts]
    return found


def counts(values: Mapping[str, object]) -> dict[str, int]:
    """The queue counts among a file's settings, which spell them with '-' or '_'."""
    found = {}
    for key, value in values.items():
        name = key.strip().replace("-", "_")
        digits = str(value).strip()
        if name in COUNTS and digits.isascii() and digits.isdigit() and int(digits[:9]) > 0:
            found[name] = int(digits[:9])
    return found


def parse_config_json(path: str, content: str) -> Iterator[Configured]:
    """libnvme's config.json: hosts, their subsystems, their ports. One that is no such thing configures nothing."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return
    for host in objects(document.get("hosts") if isinstance(document, dict) else document):
        for subsystem in objects(host.get("subsystems")):
            for port in objects(subsystem.get("ports")):
                yield Configured(
                    path, counts(port), word(port, "transport"), word(port, "traddr"), word(subsystem, "nqn")
                )


def objects(value: object) -> list[dict[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def word(values: Mapping[str, object], key: str) -> str | None:
    value = values.get(key)
    return value if isinstance(value, str) else None


def parse_discovery_conf(path: str, content: str) -> Iterator[Configured]:
    """Lines of connect-all's options: what it finds at any of these is connected with the line's counts."""
    for line in content.splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue
        settings: dict[str, str] = {}
        for here, after in zip(words, [*words, ""][1:], strict=True):
            if here.startswith("-"):
                key, equals, value = here.partition("=")
                settings[LONG.get(key, key.removeprefix("--"))] = value if equals else after
        if settings:
            # The address there is the discovery controller's, not that of what it leads to.
            yield Configured(path, counts(settings), settings.get("transport"))


# nvme-connect-all(1)
LONG = {"-t": "transport", "-i": "nr-io-queues", "-W": "nr-write-queues", "-P": "nr-poll-queues"}


def parse_stacd_conf(path: str, content: str) -> Iterator[Configured]:
    """nvme-stas: the settings of [Global]."""
    section = ""
    settings: dict[str, object] = {}
    for raw in content.splitlines():
        line = raw.strip()
        if line.startswith("["):
            section = line
        elif section == "[Global]" and "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            settings[key] = value
    if settings:
        yield Configured(path, counts(settings))
