# SPDX-License-Identifier: GPL-2.0-or-later
"""Documents whose rows come one by one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.report.document import Document
from kprobe_tool.report.live import live, note_reader
from kprobe_tool.report.output import Output

ROWS = [{"n": 1}, {"n": 2}, {"n": 3}]
SUMMARY = {"rows": 3}
ERROR = Error("x", "odd")


def lines(row: object) -> Iterator[str]:
    yield f"row {row}"
    yield "    more"


def write_rows(output: Output, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    document = Document("test", {"release": "1"}, [], more={"hooks": []}, warnings=["beware"])
    with live(document, output, "none") as shown:
        for row in ROWS:
            shown.row(row, lines(row))
        shown.finish(SUMMARY, [ERROR], "3 rows")
    return capsys.readouterr()


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = write_rows(Output.JSON, capsys)
    document = json.loads(out)
    assert (document["results"], document["summary"], document["hooks"]) == (ROWS, SUMMARY, [])
    assert document["errors"] == [ERROR.as_dict()]
    assert err == "kprobe-tool: beware\nkprobe-tool: x: odd\n"


def test_json_without_rows_is_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    with live(Document("test", {}, []), Output.JSON, "none") as shown:
        shown.finish({}, [], None)
    assert json.loads(capsys.readouterr().out)["results"] == []


def test_jsonl_is_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = write_rows(Output.JSONL, capsys)
    header, *rest = map(json.loads, out.splitlines())
    assert (header["type"], header["warnings"]) == ("header", ["beware"])
    assert rest == [
        *({"type": "result", **row} for row in ROWS),
        {"type": "error", **ERROR.as_dict()},
        {"type": "summary", **SUMMARY},
    ]
    assert err == "kprobe-tool: beware\nkprobe-tool: x: odd\n"


def test_people_are_told_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = write_rows(Output.TABLE, capsys)
    assert out.splitlines()[:2] == ["row {'n': 1}", "    more"]
    assert err == "kprobe-tool: beware\nkprobe-tool: 3 rows\nkprobe-tool: x: odd\n"


def test_a_reader_that_is_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        note_reader()
        os.close(reading)
        with pytest.raises(BrokenPipeError):
            note_reader()
