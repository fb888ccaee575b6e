# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that a user types."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from kprobe_tool.errors import Error


def known(name: str, names: Iterable[str], what: str, hint: str) -> None:
    """Raises Error for a name that is not among them: with the nearest one, or else with ``hint``."""
    there = list(names)
    if name not in there:
        near = get_close_matches(name, there, n=1)
        raise Error(f"'{name}'", f"no such {what}", hint=f"did you mean '{near[0]}'?" if near else hint)
