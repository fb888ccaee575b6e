# SPDX-License-Identifier: GPL-2.0-or-later
"""Who was asked: the ``host`` member of every document."""

from __future__ import annotations

from dataclasses import asdict

from kprobe_tool.native import host


def identity() -> dict[str, object]:
    """``hostname release version arch boot_id`` of the running kernel."""
    return asdict(host.host())
