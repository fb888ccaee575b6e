# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands behind a message: what those who look for causes get, and what they return."""

from __future__ import annotations

from typing import NamedTuple

from kprobe_tool.probes.verifier.diagnosis import Category, CauseClass
from kprobe_tool.probes.verifier.log.disasm import Instruction
from kprobe_tool.probes.verifier.log.path import InsnPath
from kprobe_tool.probes.verifier.messages.row import Match


class Cause(NamedTuple):
    """A reason and a suggestion in place of those of the table, whose fault it is, and what in the log says so.

    A ``suggestion`` of None leaves that of the table, as does a ``problem`` of None: it names category and problem
    where the message names a symptom.
    """

    reason: str
    suggestion: str | None = None
    cause_class: CauseClass = CauseClass.UNKNOWN
    evidence: str | None = None
    problem: tuple[Category, str] | None = None


class Found(NamedTuple):
    """What is known when a cause is looked for."""

    match: Match
    message: str
    details: tuple[str, ...]
    path: InsnPath
    register: str | None

    @property
    def instruction(self) -> Instruction | None:
        return self.path.visits[-1].instruction if self.path.visits else None

    @property
    def text(self) -> str:
        return self.path.visits[-1].text if self.path.visits else ""
