# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds for all tests."""

import signal
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
HOST = TESTS / "host"

# pytest explains the asserts of test modules and conftests by itself, those of what they import only if told so.
pytest.register_assert_rewrite(
    *(f"tests.{path.stem}" for path in TESTS.iterdir() if path.stem not in {"conftest", "__init__"})
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes seconds; 'make test-fast' leaves it out")
    # A shell ignores SIGINT for what it starts in the background, and so would all that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Those that ask this machine's kernel look at what there is before and after: with -n they have a worker."""
    if config.pluginmanager.has_plugin("xdist"):
        for item in items:
            if item.path.is_relative_to(HOST):
                item.add_marker(pytest.mark.xdist_group("host"))
