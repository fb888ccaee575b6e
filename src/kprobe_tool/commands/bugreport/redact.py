# SPDX-License-Identifier: GPL-2.0-or-later
"""What names a host or its peers, replaced: the same name by the same word, so that the report can be followed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from kprobe_tool.report.document import Row

NQN = re.compile(r"\bnqn\.[^\s,;'\"()\[\]{}]+", re.IGNORECASE)
"""NVM Express Base Specification, NVMe Qualified Names: nqn.YYYY-MM.DOMAIN:NAME."""
HARDWARE = re.compile(
    r"(?<![\w:])[0-9a-f]{2}(?::[0-9a-f]{2}){5,7}(?![\w:])|\b(?:nn|pn)-0x[0-9a-f]{16}\b", re.IGNORECASE
)
"""Addresses of Ethernet and InfiniBand, and of Fibre Channel."""
IP = re.compile(
    r"(?<![\w:.])(?:\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)|[0-9a-f]*:[0-9a-f:]*:[0-9a-f:.]*(?![\w:]))", re.IGNORECASE
)
"""What may be an IP address; ipaddress says whether it is."""
NOBODY = {"", "localhost", "(none)"}
"""Host names that name none."""


class Redactor:
    """For the host of this name."""

    def __init__(self, hostname: str) -> None:
        self._stand_ins: dict[str, str] = {}
        names = {hostname, hostname.partition(".")[0]} - NOBODY
        self._host = [
            re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])", re.IGNORECASE) for name in sorted(names)[::-1]
        ]
        self._home = str(Path("~").expanduser())

    def rows(self, rows: Iterable[Row]) -> list[Row]:
        return [{name: value if name in OURS else self(value) for name, value in row.items()} for row in rows]

    def __call__(self, value: object) -> object:
        """A JSON value with every text in it redacted."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return [self(each) for each in value]
        if isinstance(value, dict):
            return {self.text(str(name)): self(each) for name, each in value.items()}
        return value

    def text(self, text: str) -> str:
        text = NQN.sub(lambda found: self._stand_in("NQN", found[0]), text)
        text = HARDWARE.sub(lambda found: self._stand_in("ADDRESS", found[0]), text)
        text = IP.sub(self._address, text)
        for host in self._host:
            text = host.sub("HOST", text)
        return text.replace(self._home, "~") if len(self._home) > 1 else text

    def _address(self, found: re.Match[str]) -> str:
        try:
            address = ip_address(found[0])
        except ValueError:
            return found[0]
        return found[0] if address.is_loopback or address.is_unspecified else self._stand_in("ADDRESS", str(address))

    def _stand_in(self, kind: str, name: str) -> str:
        number = sum(each.startswith(kind) for each in self._stand_ins.values()) + 1
        return self._stand_ins.setdefault(name.lower(), f"{kind}-{number}")


OURS = frozenset(
    {"id", "severity", "status", "method", "name", "available", "command", "works", "needs", "wants", "missing"}
)
"""Members whose words are the tool's own, whatever the host is called."""
