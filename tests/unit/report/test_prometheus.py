# SPDX-License-Identifier: GPL-2.0-or-later
"""Metrics of what is from outside."""

from kprobe_tool.report.document import Document
from kprobe_tool.report.output import Output, render


def test_nothing_raw_is_in_a_label() -> None:
    lines = list(render(Document("x", {"release": '\x1b[2J\n"'}, []), Output.PROMETHEUS))
    assert lines[-1].endswith('release="\\\\x1b[2J\\\\x0a\\""} 1')
