# SPDX-License-Identifier: GPL-2.0-or-later
"""The age of a file is reckoned by the clock that dated it."""

import time

import pytest


@pytest.fixture(autouse=True)
def clock_of_files(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The kernel's time of day: that of this process may be moved (tests/anyhow.py)."""
    file = tmp_path_factory.mktemp("clock") / "now"

    def now() -> float:
        file.write_bytes(b"now")
        return file.stat().st_mtime

    monkeypatch.setattr(time, "time", now)
