# SPDX-License-Identifier: GPL-2.0-or-later
"""What 'make test-hosts' runs: many hosts, and what watches them. The tools come with that target."""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("KPROBE_TOOL_HOSTS") == "1":
        return
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.skip(reason="opt-in: 'make test-hosts', or KPROBE_TOOL_HOSTS=1"))
