# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that a user types, and what was meant."""

from __future__ import annotations

from collections.abc import Iterable

from kprobe_tool.errors import Error


def did_you_mean(name: str, names: Iterable[str]) -> str | None:
    """``did you mean 'NAME'?`` with the name that comes closest; None where none comes close."""
    # Imported here, since only a mistyped name needs it.
    from difflib import get_close_matches

    folded = {each.casefold(): each for each in names}
    near = get_close_matches(name.casefold(), folded, n=1)
    return f"did you mean '{folded[near[0]]}'?" if near else None


def require_name(name: str, names: Iterable[str], what: str, hint: str) -> None:
    """Raises Error for a name that is not among them: with the nearest one, or else with ``hint``."""
    candidates = list(names)
    if name not in candidates:
        raise Error(f"'{name}'", f"no such {what}", hint=did_you_mean(name, candidates) or hint)
