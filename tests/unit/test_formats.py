# SPDX-License-Identifier: GPL-2.0-or-later
"""Every command in every format, read as its readers do; and golden files of what those rely on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from kprobe_tool.checks import CHECKS, Check, Finding, Status
from kprobe_tool.cli import cli, run
from kprobe_tool.errors import ExitCode
from kprobe_tool.lazy import LazyGroup
from kprobe_tool.probes import audit, host, schemas
from kprobe_tool.report.output import COMMON, Output

from . import formats, shapes
from .documents import COMMAND_LINES, SCHEMAS, Capsys, check, check_lines, run_command, subschemas
from .test_lazy import ALL_COMMANDS

pytestmark = pytest.mark.usefixtures("sk_msg", "rejected")

WITHOUT = {("audit-list", output) for output in Output if output not in COMMON}
"""Formats that a command refuses in this mode: a list has no verdicts."""
ELSEWHERE = {
    ("verifier-log", "load"),
    ("verifier-log", "matrix"),
    ("verifier-log", "watch"),
    ("skmsg", "watch"),
}
"""Commands that need a program to load, or something to happen: their own tests read what they print."""


def command_of(args: list[str]) -> tuple[tuple[str, ...], click.Command]:
    """The path of the command that a command line calls, and the command."""
    path: tuple[str, ...] = ()
    command: click.Command | None = cli
    while isinstance(command, LazyGroup):
        path = (*path, args[len(path)])
        command = command.get_command(click.Context(command), path[-1])
    assert command is not None
    return path, command


def formats_of(command: click.Command) -> list[Output]:
    (option,) = [param for param in command.params if param.name == "output"]
    assert isinstance(option.type, click.Choice)
    return [Output(choice) for choice in option.type.choices]


def every_format() -> Iterator[tuple[str, Output]]:
    for name, args in COMMAND_LINES.items():
        for output in formats_of(command_of(args)[1]):
            if (name, output) not in WITHOUT:
                yield name, output


def test_every_command_is_tried() -> None:
    groups = {path[:-1] for path in ALL_COMMANDS}
    leaves = {path for path in ALL_COMMANDS if path not in groups}
    assert leaves - ELSEWHERE == {command_of(args)[0] for args in COMMAND_LINES.values()} - ELSEWHERE


@pytest.mark.parametrize(("name", "output"), list(every_format()), ids=str)
def test_every_command_can_be_read_in_every_format(name: str, output: Output, capsys: Capsys) -> None:
    text = run_command(capsys, *COMMAND_LINES[name], "-o", output.value)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    assert text.endswith("\n")
    match output:
        case Output.JSON:
            check(SCHEMAS[name], json.loads(text))
        case Output.JSONL:
            check_lines(SCHEMAS[name], text.splitlines())
        case Output.PROMETHEUS:
            assert formats.prometheus(text)
        case Output.NRPE:
            formats.nrpe(text)
        case Output.LINE:
            assert text.count("\n") == 1 and len(text.encode()) <= 81
        case Output.GITHUB:
            assert all(formats.github(line) for line in text.splitlines())
        case Output.SARIF:
            assert formats.sarif(text)
        case Output.TABLE | Output.WIDE:
            assert all(line == line.rstrip() for line in text.splitlines())


def test_golden_files_are_those_of_the_schemas() -> None:
    assert sorted(path.stem for path in shapes.GOLDEN.glob("*.json")) == schemas.names()


@pytest.mark.parametrize("name", schemas.names())
def test_documents_have_the_shape_of_their_golden_files(name: str) -> None:
    """A change here is one that scripts see. kprobe-tool(1), "Schema versions", says which ones raise the version; if
    this is meant: python -m tests.unit.shapes, and a line in CHANGELOG.md."""
    golden = json.loads((shapes.GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert shapes.shapes()[name] == golden


def test_every_check_has_its_evidence_described() -> None:
    """There is one condition on its id, for the rows of audit or in the definition of a finding."""
    schema = SCHEMAS["audit"]
    conditions = [*schema["properties"]["results"]["items"]["allOf"], *schema["$defs"]["finding"]["allOf"]]
    named: list[str] = []
    for condition in conditions:
        chosen = condition["if"]["properties"].get("id", {})
        named += chosen.get("enum", [chosen["const"]] if "const" in chosen else [])
    assert sorted(named) == sorted(each.id for each in CHECKS)


@pytest.mark.parametrize("each", CHECKS, ids=lambda each: each.id)
def test_evidence_to_look_for_is_a_member_of_a_document(each: Check) -> None:
    """In look_for, a word with an underscore that is no function's name is a member."""
    members = {
        name for schema in SCHEMAS.values() for below in subschemas(schema) for name in below.get("properties", {})
    }
    named = set(re.findall(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b(?!\()", each.look_for))
    assert named <= members


HOST: dict[str, object] = {
    "hostname": "h",
    "release": '6.1"\\',
    "version": "#1",
    "arch": "x86_64",
    "boot_id": None,
    "time": "2026-11-21T07:00:00Z",
}


@pytest.mark.parametrize("output", [Output.PROMETHEUS, Output.NRPE])
def test_texts_are_those_of_the_golden_files(output: Output, monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    """One check of each verdict, on a host that is always the same."""
    findings = {
        "rds-info-netns-leak": Finding(Status.AFFECTED, "it does | so"),
        "rds-info-count-leak": Finding(Status.UNKNOWN, "no telling", settle="root"),
        "rds-netns-delivery": Finding(Status.NOT_APPLICABLE, "not there"),
        "rds-bind-netns": Finding(Status.OK, "it does not"),
    }
    only = ",".join(findings)
    monkeypatch.setattr(audit, "evaluate", lambda check: findings[check.id])
    monkeypatch.setattr(host, "identity", lambda: HOST)
    assert run(["audit", "--only", only, "-o", output.value]) == (2 if output is Output.NRPE else ExitCode.FOUND)
    golden = Path(shapes.GOLDEN / f"audit.{output.value}")
    assert capsys.readouterr().out == golden.read_text(encoding="utf-8")
