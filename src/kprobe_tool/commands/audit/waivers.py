# SPDX-License-Identifier: GPL-2.0-or-later
"""Waivers: findings that somebody has decided to live with, why, and until when.

The file is TOML::

    [[waiver]]
    id = "rds-bind-netns"
    reason = "one tenant only"
    until = 2027-03-31
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from typing import NamedTuple

from kprobe_tool import files
from kprobe_tool.errors import Error
from kprobe_tool.probes.selection import find

FILE_MAX = 1 << 20
"""Bytes of a file that will be looked at."""
KEYS = ("id", "reason", "until")


class Waiver(NamedTuple):
    """One check whose finding is not counted up to and including the day ``until``."""

    id: str
    reason: str
    until: date

    def is_expired(self, today: date) -> bool:
        return self.until < today

    def as_dict(self) -> dict[str, object]:
        return {"reason": self.reason, "until": self.until.isoformat()}


def load(path: str) -> dict[str, Waiver]:
    """The waivers of a file, by check. Raises Error: unreadable, malformed, unknown check or key."""
    raw = files.read(path, FILE_MAX)
    try:
        document = tomllib.loads(raw.decode())
    except RecursionError as error:
        raise Error(path, "nested too deep for a file of waivers") from error
    except ValueError as error:
        # tomllib.TOMLDecodeError and UnicodeDecodeError are ValueErrors.
        raise Error(path, f"not TOML: {error}") from error
    found: dict[str, Waiver] = {}
    for number, entry in enumerate(entries(path, document), 1):
        waiver = parse(f"{path}: waiver {number}", entry)
        if waiver.id in found:
            raise Error(f"{path}: waiver {number}", f"a second waiver of '{waiver.id}'")
        found[waiver.id] = waiver
    return found


def entries(path: str, document: Mapping[str, object]) -> list[object]:
    """The tables of ``[[waiver]]``."""
    for key in document:
        if key != "waiver":
            raise Error(path, f"unknown key '{key}'", hint="each waiver is a table [[waiver]]")
    found = document.get("waiver", [])
    if not isinstance(found, list):
        raise Error(path, "'waiver' is not a list of tables", hint="write [[waiver]], with two brackets")
    return found


def parse(where: str, entry: object) -> Waiver:
    """One waiver. Raises Error."""
    if not isinstance(entry, dict):
        raise Error(where, "not a table")
    for key in entry:
        if key not in KEYS:
            raise Error(where, f"unknown key '{key}'", hint=f"a waiver has {', '.join(KEYS)}")
    for key in KEYS:
        if key not in entry:
            raise Error(where, f"no '{key}'", hint=f"a waiver has {', '.join(KEYS)}")
    name, reason, until = (entry[key] for key in KEYS)
    if not isinstance(name, str) or not isinstance(reason, str) or not reason.strip():
        raise Error(where, "'id' and 'reason' are text that is not empty")
    # A datetime is a date too, to Python.
    if not isinstance(until, date) or isinstance(until, datetime):
        raise Error(where, "'until' is not a date", hint="such as 2027-03-31, without quotes")
    try:
        return Waiver(find(name).id, reason, until)
    except Error as error:
        raise Error(f"{where}: {error.subject}", error.reason, hint=error.hint) from error
