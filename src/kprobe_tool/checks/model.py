# SPDX-License-Identifier: GPL-2.0-or-later
"""A check, and the finding that one run of it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import NamedTuple

from kprobe_tool.errors import Error


class Status(StrEnum):
    """The four outcomes of a check."""

    OK = "ok"
    AFFECTED = "affected"
    NOT_APPLICABLE = "not-applicable"
    UNKNOWN = "unknown"


class Method(StrEnum):
    """How a finding was reached, strongest first."""

    PROBE = "probe"
    SYMBOL = "symbol"
    CONFIG = "config"
    MODEL = "model"
    """Computed by a rule that was read in the kernel's source, and not tried, as trying it would do harm."""
    VERSION = "version"


class Severity(StrEnum):
    """How bad it is where a host is affected."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Root(StrEnum):
    """Whether a check needs root to be able to tell."""

    NEVER = "never"
    SOMETIMES = "sometimes"
    """On some hosts it is ``unknown`` without root, which may settle it there."""
    ALWAYS = "always"


class Needs(NamedTuple):
    """What a check needs to be able to tell. Where that is missing it is ``unknown`` or ``not-applicable``.

    ``modules`` must be loaded: no check loads one. ``others`` is for people.
    """

    root: Root = Root.NEVER
    modules: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        root = ("root",) if self.root is Root.ALWAYS else ()
        return ", ".join((*root, *(f"module {module}" for module in self.modules), *self.others)) or "nothing"


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


class Check(NamedTuple):
    """One row of the table. ``function`` is ``module:name`` of a function that takes the id and gives a Finding.

    ``title`` and ``meaning`` tell what it is to be affected, ``look_for`` how the evidence shows it, ``remedy`` what
    to do about it. One that is not ``default`` is run only where it is named, or with ``--all``: what it finds is of
    use to those who write programs, and not to those who run hosts.
    """

    id: str
    title: str
    severity: Severity
    system: str
    needs: Needs
    references: tuple[str, ...]
    meaning: str
    look_for: str
    remedy: str
    function: str
    default: bool = True

    def run(self) -> Finding:
        """Import the function, and call it with the id. Raises Error."""
        module, _, name = self.function.partition(":")
        finding = getattr(import_module(module), name)(self.id)
        if not isinstance(finding, Finding):
            raise TypeError(f"{self.function} returned {finding!r}")
        return finding


def evaluate(check: Check) -> Finding:
    """Run one check; what keeps it from being asked is an ``unknown`` with the reason, never an ``ok``."""
    try:
        return check.run()
    except Error as error:
        return Finding(Status.UNKNOWN, str(error), settle=error.hint or f"what it needs: {check.needs}")
    except OSError as error:
        failure = Error.from_os(error.filename or check.id, error)
        return Finding(Status.UNKNOWN, str(failure), settle=f"what it needs: {check.needs}")
