# SPDX-License-Identifier: GPL-2.0-or-later
"""Who was asked, and when: the ``host`` member of every document."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from kprobe_tool.native import host


def identity() -> dict[str, object]:
    """``hostname release version arch boot_id`` of the running kernel, and the ``time`` in UTC (RFC 3339)."""
    return {**asdict(host.host()), "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
