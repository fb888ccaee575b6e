# SPDX-License-Identifier: GPL-2.0-or-later
"""How many runs each test made goes into its report (--junitxml), of which ``page`` makes the table in docs/."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .runs import RUNS


@pytest.fixture(autouse=True)
def count_runs(record_property: Callable[[str, object], None]) -> Iterator[None]:
    before = len(RUNS)
    yield
    record_property("runs", len(RUNS) - before)
