# SPDX-License-Identifier: GPL-2.0-or-later
"""What led to a rejection, from the states and branches of the path."""

from __future__ import annotations

from dataclasses import dataclass

from kprobe_tool.probes.verifier.diagnosis import Step
from kprobe_tool.probes.verifier.message import Match
from kprobe_tool.probes.verifier.path import Path


@dataclass(frozen=True)
class Thread:
    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()


def follow(found: Match, path: Path) -> Thread:
    return Thread()
