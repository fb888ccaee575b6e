# SPDX-License-Identifier: GPL-2.0-or-later
"""bpf/doctor.c: the least that shows whether programs compile, load and attach here."""

from __future__ import annotations

FUNCTION = "on_message"
SOCKMAP = "sockets"
