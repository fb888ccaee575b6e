# SPDX-License-Identifier: GPL-2.0-or-later
"""A verifier log explained, from its tail."""

from __future__ import annotations

from pathlib import Path

from kprobe_tool.probes.verifier.diagnosis import Diagnosis, Outcome


def explain_bytes(log: bytes, errno: str | None = None) -> Diagnosis:
    """What a log in memory says. ``errno`` is the name of the error that the load ended with, where it is known."""
    return Diagnosis(
        outcome=Outcome.UNKNOWN,
        native=False,
        recognised=False,
        category=None,
        problem=None,
        message=None,
        reason="the log says nothing" if not log.strip() else "unrecognised message",
        errno=errno,
    )


def explain_file(path: str, errno: str | None = None) -> Diagnosis:
    """The same for a file of any length. Raises OSError."""
    return explain_bytes(Path(path).read_bytes(), errno)
