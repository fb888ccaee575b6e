# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases, by system."""

from __future__ import annotations

from collections.abc import Sequence

from ..model import Case
from . import audit, nvme, rds, starts, verifier_log, watchers

CASES: Sequence[Case] = (
    *starts.CASES,
    *audit.CASES,
    *rds.CASES,
    *verifier_log.CASES,
    *watchers.CASES,
    *nvme.CASES,
)
"""In the order of the rows."""
