# SPDX-License-Identifier: GPL-2.0-or-later
"""Text from outside, as it is shown."""

import pytest

from kprobe_tool.report.text import escape


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain caf\u00e9 \u6f22", "plain caf\u00e9 \u6f22"),
        ("\x1b[31m\x07\r\n\t", "\\x1b[31m\\x07\\x0d\\x0a\\x09"),
        ("\x7f\x9b2J", "\\x7f\\x9b2J"),
        ("a\u202eb\u2066\u200b\ufeff", "a\\u202eb\\u2066\\u200b\\ufeff"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\udcff\ue000\U000e0001", "\\udcff\\ue000\\U000e0001"),
    ],
)
def test_nothing_that_a_terminal_obeys_is_left(text: str, shown: str) -> None:
    assert escape(text) == shown
