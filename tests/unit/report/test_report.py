"""Rendering: what people see, and that nothing from outside drives their terminal."""

import json

import click
import pytest

from kprobe_tool.errors import Error, PluginState
from kprobe_tool.report import json as json_report
from kprobe_tool.report import jsonl as jsonl_report
from kprobe_tool.report import table
from kprobe_tool.report.document import Column, Document, Plugin, Table
from kprobe_tool.report.output import Output, emit, render
from kprobe_tool.report.text import escape

HOST = {"hostname": "h", "release": "r"}
COLUMNS = (
    Column("NAME", "name"),
    Column("N", "n", right=True),
    Column("WHY", "why", wrap=True),
    Column("W", "w", wide=True),
)


def document(rows: list[dict[str, object]], **more: object) -> Document:
    tables = [Table(COLUMNS, rows, title="Things")]
    return Document("test", HOST, tables, plugin=Plugin(PluginState.OK, "fine"), one_line="fine", **more)  # type: ignore[arg-type]


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
def test_escape(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_cells() -> None:
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


def test_nothing_raw_in_a_title() -> None:
    """A file's name may be one, where statistics of several are shown."""
    raw = "\x1b]0;x\x07\n\u202e"
    lines = list(table.render(Document("x", {}, [Table([], [], title=raw, empty="none")])))
    assert [click.unstyle(line) for line in lines] == [r"\x1b]0;x\x07\x0a\u202e", "  none"]


def test_nothing_raw_in_a_label() -> None:
    lines = list(render(Document("x", {"release": '\x1b[2J\n"'}, []), Output.PROMETHEUS))
    assert lines[-1].endswith('release="\\\\x1b[2J\\\\x0a\\""} 1')


def test_json_and_jsonl_tell_the_same() -> None:
    rows: list[dict[str, object]] = [{"name": "a", "n": 1}, {"name": "b", "n": 2}]
    told = document(rows, errors=[Error("s", errno=2, hint="h")], more={"extra": 1}, warnings=["w"])
    whole = json.loads("\n".join(json_report.render(told)))
    lines = [json.loads(line) for line in jsonl_report.render(told)]
    assert [line.pop("type") for line in lines] == ["header", "result", "result", "error"]
    assert lines[1:3] == whole["results"] == rows
    assert lines[3:] == whole["errors"]
    assert whole["errors"] == [
        {"subject": "s", "reason": "No such file or directory", "errno": "ENOENT", "hint": "h"}
    ]
    assert lines[0] == {key: value for key, value in whole.items() if key not in {"results", "errors"}}


@pytest.mark.parametrize("output", Output)
def test_errors_and_warnings_go_to_stderr(output: Output, capsys: pytest.CaptureFixture[str]) -> None:
    emit(document([], errors=[Error("s\x1b", "r")], warnings=["w"]), output)
    captured = capsys.readouterr()
    assert captured.err == "kprobe-tool: w\nkprobe-tool: s\\x1b: r\n"
    assert "\x1b" not in captured.out.replace("\x1b[1m", "").replace("\x1b[0m", "")
