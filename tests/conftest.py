# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds for all tests."""

import signal
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
HOST = "tests/host/"

# pytest explains the asserts of test modules and conftests by itself, those of what they import only if told so.
pytest.register_assert_rewrite(
    *(f"tests.{path.stem}" for path in TESTS.iterdir() if path.stem not in {"conftest", "__init__"})
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes seconds; 'make test-fast' leaves it out")
    # A shell ignores SIGINT for what it starts in the background, and so would all that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With --dist loadgroup one worker has all that look at what there is on this machine before and after.

    Not by xdist's own groups: up to 3.8 they get lost with pytest 9.2.
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = lambda nodeid: HOST if nodeid.startswith(HOST) else nodeid
    return scheduler
