# SPDX-License-Identifier: GPL-2.0-or-later
"""bpf/include/live.h: what the programs of the live commands count."""

from __future__ import annotations

COUNTERS = ("filtered", "missed", "seen", "emitted", "dropped")
"""enum counter: each call of a hook is filtered, missed or seen, and each one seen is emitted or dropped."""
