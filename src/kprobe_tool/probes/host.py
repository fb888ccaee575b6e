# SPDX-License-Identifier: GPL-2.0-or-later
"""Who was asked, and when: the ``host`` member of every document; and by whom."""

from __future__ import annotations

from datetime import UTC, datetime

from kprobe_tool.native import host


def identity() -> dict[str, object]:
    """``hostname release version arch boot_id`` of the running kernel, and the ``time`` in UTC (RFC 3339)."""
    return {**host.host()._asdict(), "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}


def as_root() -> bool:
    """Whether this process may do what the host's root may; without /proc nobody can tell, so that it is not."""
    try:
        return host.in_initial_user_namespace() and set(host.CAPABILITIES) <= host.effective_capabilities()
    except OSError:
        return False
