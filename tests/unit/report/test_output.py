# SPDX-License-Identifier: GPL-2.0-or-later
"""A document on its way out."""

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.report.output import Output, emit

from .documents import document


@pytest.mark.parametrize("output", Output)
def test_errors_and_warnings_go_to_stderr(output: Output, capsys: pytest.CaptureFixture[str]) -> None:
    emit(document([], errors=[Error("s\x1b", "r")], warnings=["w"]), output)
    captured = capsys.readouterr()
    assert captured.err == "kprobe-tool: w\nkprobe-tool: s\\x1b: r\n"
    assert "\x1b" not in captured.out.replace("\x1b[1m", "").replace("\x1b[0m", "")
