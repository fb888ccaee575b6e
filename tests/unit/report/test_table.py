# SPDX-License-Identifier: GPL-2.0-or-later
"""Rendering: what people see, and that nothing from outside drives their terminal."""

import click
import pytest

from kprobe_tool.report import table
from kprobe_tool.report.document import Document, Table

from .documents import document


def test_cells_are_shown_for_people() -> None:
    rows: list[dict[str, object]] = [
        {"name": None, "n": 0, "why": "", "w": [1, "\x1b"]},
        {"name": True, "n": 12, "why": [], "w": {"a": None}},
    ]
    lines = list(table.render(document(rows), wide=True))
    assert lines[-2].split() == ["-", "0", "-", "1,\\x1b"]
    assert lines[-1].split() == ["yes", "12", "-", "a=-"]


def test_the_table_fits_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows: list[dict[str, object]] = [{"name": "x" * 20, "n": 5, "why": "word " * 60, "w": "hidden"}]
    lines = list(table.render(document(rows)))
    assert max(map(len, lines)) <= 80
    assert "hidden" not in "".join(lines)
    assert "".join(lines).count("word") == 60


def test_a_word_longer_than_the_line_is_cut_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows: list[dict[str, object]] = [{"name": "x", "n": 1, "why": "y" * 200, "w": None}]
    assert "".join(table.render(document(rows))).count("y") == 200


def test_empty_table_says_so() -> None:
    assert list(table.render(document([])))[-1] == "  none"


@pytest.mark.parametrize("columns", ["80", ""], ids=["terminal", "pipe"])
def test_nothing_raw_is_around_a_table(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's name may be a title, where statistics of several are shown."""
    monkeypatch.setenv("COLUMNS", columns)
    raw, shown = "\x1b]0;x\x07\n\u202e", r"\x1b]0;x\x07\x0a\u202e"
    tables = [Table([], [], title=raw, empty=raw), Table([], [], empty=raw)]
    lines = list(table.render(Document("x", {}, tables, heading=raw, summary=[raw])))
    assert [click.unstyle(line) for line in lines] == [shown, "", shown, f"  {shown}", "", shown, "", shown]
