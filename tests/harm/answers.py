# SPDX-License-Identifier: GPL-2.0-or-later
"""What a document claims, so that two runs can be compared: a disturbed one may claim less, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

OPEN = frozenset({"unknown", "blocked", "inconclusive", "unavailable", "null"})
"""Values that claim nothing."""

Claims = Mapping[str, str]

NAMES = ("id", "syscall", "optname", "test", "socket", "controller", "name", "program", "bound_port")
"""What a row is called."""
WORDS = ("status", "reachable", "check_fields", "accepted", "outcome")
"""What a row claims. What doctor says is available is so for the process that asks, and no claim about a kernel."""


def walk_claims(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        path += "".join(f"/{value[name]}" for name in NAMES if isinstance(value.get(name), str))
        for word in WORDS:
            if word in value:
                yield f"{path} {word}", str(value[word] if value[word] is not None else "null")
        for key, inner in value.items():
            if key not in {"evidence", "host", "summary"}:
                yield from walk_claims(inner, f"{path}/{key}" if isinstance(inner, dict) else path)
    elif isinstance(value, list):
        for inner in value:
            yield from walk_claims(inner, path)


def claims(stdout: str) -> Claims:
    """Each row's claim, by the names on the way to it; none where nothing was printed. Raises ValueError."""
    return dict(walk_claims(json.loads(stdout), "")) if stdout.strip() else {}


def contradictions(undisturbed: Claims, disturbed: Claims) -> dict[str, tuple[str | None, str]]:
    """What the disturbed run claims and the other does not."""
    return {
        name: (undisturbed.get(name), value)
        for name, value in disturbed.items()
        if value != undisturbed.get(name) and value not in OPEN
    }
