# SPDX-License-Identifier: GPL-2.0-or-later
"""Documents that commands write, and the schemas that they are checked against."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kprobe_tool.cli import run
from kprobe_tool.errors import ExitCode

from ..corpus import LOGS

Json = dict[str, Any]
Capsys = pytest.CaptureFixture[str]

SCHEMAS: dict[str, Json] = {
    Path(file.name).stem: json.loads(file.read_text(encoding="utf-8"))
    for file in sorted(files("kprobe_tool").joinpath("schemas").iterdir(), key=lambda file: file.name)
}
SKMSG = sorted((Path(__file__).parent / "data" / "skmsg").glob("*.json"))
"""What the tests of skmsg check saw on real kernels."""
CAPTURES = sorted((Path(__file__).parent / "data" / "rds").glob("*.json"))
"""Files of ``rds-info --save`` from real kernels."""

INSTRUCTIONS = Path(__file__).parent / "data" / "verifier" / "exit.hex"
OBJECT = Path(__file__).parent / "data" / "verifier" / "null-check.o"
VERIFIER_LOG = Path(__file__).parent / "data" / "verifier" / "null-check-6.18.txt"
REPORTS = Path(__file__).parent / "data" / "fleet"

COMMAND_LINES = {
    "audit": ["audit"],
    "audit-list": ["audit", "--list"],
    "bugreport": ["bugreport"],
    "check-fields": ["check-fields", "openat2"],
    "doctor": ["doctor"],
    "explain": ["explain", "rds-bind-netns"],
    "fleet": ["fleet", str(REPORTS)],
    "nvme-queues": ["nvme-queues"],
    "nvme-queues-simulate": ["nvme-queues", "--simulate", "io=4,write=2,poll=2,granted=3"],
    "rds-info": ["rds-info"],
    "rds-info-leak-check": ["rds-info", "--leak-check"],
    "skmsg-check": ["skmsg", "check"],
    "skmsg-watch": ["skmsg", "watch", "--duration", "0.001"],
    "schema": ["schema"],
    "verifier-log-stats": ["verifier-log", "stats", str(LOGS / "7.3-rc7" / "accepted-with-branches.stats2.txt")],
    "verifier-log-load": ["verifier-log", "load", str(INSTRUCTIONS), "--raw", "--type", "xdp"],
    "verifier-log-explain": ["verifier-log", "explain", str(VERIFIER_LOG)],
    "verifier-log-floor": ["verifier-log", "floor", str(OBJECT)],
    "verifier-log-watch": ["verifier-log", "watch", "--duration", "0.001"],
}


LIVE = {"skmsg-watch", "verifier-log-watch"}
"""Commands that watch: what they know at the end only is the last line of jsonl."""


def check(schema: Json, instance: object) -> None:
    """Raises ValidationError, about the most telling of what is wrong."""
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(instance)


def part(schema: Json, of_part: Json) -> Json:
    """A part of a schema as one that stands alone."""
    return {"$schema": schema["$schema"], "$defs": schema["$defs"], **of_part}


def is_live(schema: Json) -> bool:
    return schema["$id"].split(":")[-2] in LIVE


def header(schema: Json) -> Json:
    """The schema of a document without its rows and errors, and what a live one knows at the end only."""
    rest = {"results", "errors", *(["summary"] if is_live(schema) else [])}
    return {
        **schema,
        "properties": {key: value for key, value in schema["properties"].items() if key not in rest},
        "required": [key for key in schema["required"] if key not in rest],
    }


def check_lines(schema: Json, lines: Sequence[str]) -> None:
    """The lines of ``-o jsonl``: a header, rows, errors, and the summary of a live command."""
    parts = {
        "header": header(schema),
        "result": part(schema, schema["properties"]["results"]["items"]),
        "error": part(schema, schema["properties"]["errors"]["items"]),
        **({"summary": part(schema, schema["properties"]["summary"])} if is_live(schema) else {}),
    }
    types = []
    for line in lines:
        instance = json.loads(line)
        types.append(instance.pop("type"))
        check(parts[types[-1]], instance)
    assert types[0] == "header"
    assert types[1:] == sorted(types[1:], key=["result", "error", "summary"].index)
    assert types.count("summary") == ("summary" in parts)


def run_command(capsys: Capsys, *args: str) -> str:
    """What a command line writes to stdout; it must have been able to run."""
    capsys.readouterr()
    code = run(list(args))
    out, err = capsys.readouterr()
    assert code in {ExitCode.OK, ExitCode.FOUND, ExitCode.CANNOT_TELL}, err
    return out


def check_command(capsys: Capsys, name: str, *args: str) -> Json:
    """Both forms of a command's document against its schema; the document itself."""
    document: Json = json.loads(run_command(capsys, *args, "-o", "json"))
    check(SCHEMAS[name], document)
    lines = run_command(capsys, *args, "-o", "jsonl").splitlines()
    check_lines(SCHEMAS[name], lines)
    assert len(lines) == 1 + len(document["results"]) + len(document["errors"]) + is_live(SCHEMAS[name])
    return document


def subschemas(schema: Any, *, conditions: bool = True) -> Iterator[Json]:
    """A schema and all below it; those of ``if`` describe nothing."""
    if isinstance(schema, dict):
        yield schema
        for keyword, value in schema.items():
            if keyword in {"properties", "$defs"}:
                for below in value.values():
                    yield from subschemas(below, conditions=conditions)
            elif keyword not in {"const", "enum"} and (conditions or keyword != "if"):
                yield from subschemas(value, conditions=conditions)
    elif isinstance(schema, list):
        for below in schema:
            yield from subschemas(below, conditions=conditions)
