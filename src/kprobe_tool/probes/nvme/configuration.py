# SPDX-License-Identifier: GPL-2.0-or-later
"""Queue counts that configuration files want for fabrics connections: nvme-cli's and nvme-stas'.

Which of them a connection was made with, if any, nobody knows.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from kprobe_tool import files
from kprobe_tool.errors import FileError
from kprobe_tool.probes.nvme.controllers import Controller
from kprobe_tool.probes.nvme.split import Options

CONFIG_MAX = 1 << 20

COUNTS = ("nr_io_queues", "nr_write_queues", "nr_poll_queues")


class Configuration(NamedTuple):
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

    def options(self, online: int) -> Options:
        """The options that a connect with these counts has now."""
        return Options(
            min(online, self.counts.get("nr_io_queues", online)),
            self.counts.get("nr_write_queues", 0),
            self.counts.get("nr_poll_queues", 0),
        )


def read_configurations(etc: str = "/etc") -> list[Configuration]:
    """What nvme-cli's and nvme-stas' files say about queue counts, most specific first."""
    found: list[Configuration] = []
    for name, parse in (
        ("nvme/config.json", parse_config_json),
        ("nvme/discovery.conf", parse_discovery_conf),
        ("stas/stacd.conf", parse_stacd_conf),
    ):
        path = f"{etc}/{name}"
        try:
            content = files.read(path, CONFIG_MAX).decode("utf-8", "backslashreplace")
        except FileError:
            continue
        found += [entry for entry in parse(path, content) if entry.counts]
    return found


def queue_counts(values: Mapping[str, object]) -> dict[str, int]:
    """The queue counts among a file's settings, which spell them with '-' or '_'."""
    found = {}
    for key, value in values.items():
        name = key.strip().replace("-", "_")
        digits = str(value).strip()
        if name in COUNTS and digits.isascii() and digits.isdigit() and int(digits[:9]) > 0:
            found[name] = int(digits[:9])
    return found


def parse_config_json(path: str, content: str) -> Iterator[Configuration]:
    """libnvme's config.json: hosts, their subsystems, their ports. One that is no such thing configures nothing.

    files.read_document() is for documents of this tool, which say so themselves and are refused where they are not
    what they say. This one is another's: its absence and its nonsense are the same to the host.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return
    for host in objects_in(document.get("hosts") if isinstance(document, dict) else document):
        for subsystem in objects_in(host.get("subsystems")):
            for port in objects_in(subsystem.get("ports")):
                yield Configuration(
                    path,
                    queue_counts(port),
                    text_of(port, "transport"),
                    text_of(port, "traddr"),
                    text_of(subsystem, "nqn"),
                )


def objects_in(value: object) -> list[dict[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_of(values: Mapping[str, object], key: str) -> str | None:
    value = values.get(key)
    return value if isinstance(value, str) else None


def parse_discovery_conf(path: str, content: str) -> Iterator[Configuration]:
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
            yield Configuration(path, queue_counts(settings), settings.get("transport"))


# nvme-connect-all(1)
LONG = {"-t": "transport", "-i": "nr-io-queues", "-W": "nr-write-queues", "-P": "nr-poll-queues"}


def parse_stacd_conf(path: str, content: str) -> Iterator[Configuration]:
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
        yield Configuration(path, queue_counts(settings))
