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


CHECKS: tuple[Check, ...] = ()


def evaluate(check: Check) -> Finding:
    """Run one check; what keeps it from being asked is an ``unknown`` with the reason, never an ``ok``."""
    try:
        return check.run()
    except Error as error:
        return Finding(Status.UNKNOWN, str(error), settle=error.hint or f"what it needs: {', '.join(check.needs)}")
    except OSError as error:
        failure = Error.from_os(error.filename or check.id, error)
        return Finding(Status.UNKNOWN, str(failure), settle=f"what it needs: {', '.join(check.needs)}")
