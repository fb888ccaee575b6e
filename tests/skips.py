# SPDX-License-Identifier: GPL-2.0-or-later
"""Skipping with a reason, which is a failure where everything is meant to run."""

import os
from typing import NoReturn

import pytest


def skip(reason: str) -> NoReturn:
    """Skip the calling test; with KPROBE_TOOL_REQUIRE=1, as in CI, fail it."""
    if os.environ.get("KPROBE_TOOL_REQUIRE") == "1":
        pytest.fail(f"cannot run here: {reason}")
    pytest.skip(reason)
