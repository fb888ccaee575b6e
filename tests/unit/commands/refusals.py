# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines that are refused."""

from __future__ import annotations

import pytest

from kprobe_tool.cli import run
from kprobe_tool.errors import ExitCode


def assert_refused(args: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command cannot run, and says why in one line that holds these words."""
    assert run(args) == ExitCode.CANNOT_RUN
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1 and words in err
