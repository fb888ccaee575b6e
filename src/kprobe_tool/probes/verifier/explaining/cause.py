# SPDX-License-Identifier: GPL-2.0-or-later
"""The cause behind a message: what the functions explain_... of this room get, and what they return."""

from __future__ import annotations

from typing import NamedTuple

from kprobe_tool.probes.verifier.diagnosis import Category, CauseClass
from kprobe_tool.probes.verifier.log.disasm import Instruction
from kprobe_tool.probes.verifier.log.path import InsnPath
from kprobe_tool.probes.verifier.messages.row import Match


class Cause(NamedTuple):
    """What is said in place of the texts in the table of messages, whose fault it is, and what in the log says so.

    Where ``suggestion`` or ``problem`` is None, that of the table stays. ``problem`` is (category, problem), given
    where the message itself names only a symptom.
    """

    reason: str
    suggestion: str | None = None
    cause_class: CauseClass = CauseClass.UNKNOWN
    evidence: str | None = None
    problem: tuple[Category, str] | None = None


class Rejection(NamedTuple):
    """A rejection whose cause is looked for: the message, the lines with it, the path, the register that it is about.

    ``instruction`` and ``text`` are those at which the verifier stopped.
    """

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
