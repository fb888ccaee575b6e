# SPDX-License-Identifier: GPL-2.0-or-later
"""Text from outside, as it is shown."""

import pytest

from kprobe_tool.report.text import escape, quantity, wrap_items


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


def test_items_are_kept_whole_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "web1  Linux 6.12.43 x86_64  not root  16 checks, 0.5 s"
    monkeypatch.setenv("COLUMNS", "50")
    assert wrap_items(text) == ["web1  Linux 6.12.43 x86_64  not root", "16 checks, 0.5 s"]
    monkeypatch.setenv("COLUMNS", "24")
    assert wrap_items("web1  one item of more than the width") == ["web1", "one item of more than", "the width"]


@pytest.mark.parametrize(("count", "text"), [(0, "0 hosts"), (1, "1 host"), (2, "2 hosts")])
def test_one_is_singular(count: int, text: str) -> None:
    assert quantity(count, "host") == text
