# SPDX-License-Identifier: GPL-2.0-or-later
"""A document in the two forms that scripts read."""

import json

from kprobe_tool.errors import Error
from kprobe_tool.report import json as json_report
from kprobe_tool.report import jsonl as jsonl_report

from .documents import document


def test_json_and_jsonl_tell_the_same() -> None:
    rows: list[dict[str, object]] = [{"name": "a", "n": 1}, {"name": "b", "n": 2}]
    both = document(rows, errors=[Error("s", errno=2, hint="h")], more={"extra": 1}, warnings=["w"])
    whole = json.loads("\n".join(json_report.render(both)))
    lines = [json.loads(line) for line in jsonl_report.render(both)]
    assert [line.pop("type") for line in lines] == ["header", "result", "result", "error"]
    assert lines[1:3] == whole["results"] == rows
    assert lines[3:] == whole["errors"]
    assert whole["errors"] == [
        {"subject": "s", "reason": "No such file or directory", "errno": "ENOENT", "hint": "h"}
    ]
    assert lines[0] == {key: value for key, value in whole.items() if key not in {"results", "errors"}}
