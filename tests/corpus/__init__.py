# SPDX-License-Identifier: GPL-2.0-or-later
"""Rejected programs, and what kernels say about them; README.md says how that was recorded."""

from __future__ import annotations

import re
from pathlib import Path

LOGS = Path(__file__).parent / "logs"
"""A directory for each release that was asked."""
NOT_ASKED = "not asked: it came to the corpus after this kernel"
"""Why a release has no log of a program, where nobody has recorded it since. Old kernels cannot always be had."""

LEVEL2 = frozenset(
    {
        "lookup-not-checked",
        "index-off-by-one",
        "sample-not-submitted",
        "lock-left-on-one-path",
        "null-not-checked",
        "value-index-off-by-one",
        "leak-on-one-branch",
        "packet-checked-too-short",
        "infinite-loop-state",
    }
)
"""Recorded at level 2 as well."""

STATS = frozenset(
    {
        "accepted-with-functions",
        "accepted-with-branches",
        "accepted-at-once",
        "index-off-by-one",
        "sample-not-submitted",
    }
)
"""Recorded with BPF_LOG_STATS as well: <name>.stats, and <name>.stats2 with level 2."""

TRUNCATED = frozenset(
    {"leak-on-one-branch", "value-index-off-by-one", "packet-checked-too-short", "kfunc-maybe-null"}
)
"""Recorded once more with a buffer that is too small, as <name>.truncated: the errno is ENOSPC."""
TRUNCATED_SIZE = 256


def short_release(release: str, version: str) -> str:
    """``6.1.192`` of Debian's (6.1.192-1), ``7.3-rc7`` of 7.3~rc7-1; ``6.18.44`` of a release 6.18.44-x."""
    if match := re.match(r"(\d+\.\d+)(?:\.(\d+))?(?:~(rc\d+))?", version):
        base, patch, candidate = match.groups()
        return f"{base}-{candidate}" if candidate else f"{base}.{patch}"
    return release.split("-", maxsplit=1)[0]
