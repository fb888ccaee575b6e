# SPDX-License-Identifier: GPL-2.0-or-later
"""The Ansible module without Ansible, on a report that audit wrote on 6.18.44. tests/hosts runs it on real hosts."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from contrib.ansible_collections.kprobe_tool.host.plugins.modules import audit_info
from kprobe_tool.cli import cli
from kprobe_tool.commands.audit.command import command
from kprobe_tool.commands.audit.run import BUCKETS
from kprobe_tool.commands.fleet import merge

RECORDED = Path(__file__).parents[1] / "data" / "fleet" / "6.18.44.json"
DEFAULTS = {name: argument.get("default") for name, argument in audit_info.ARGUMENTS.items()}

Json = dict[str, Any]


def report(**statuses: str) -> Json:
    document: Json = json.loads(RECORDED.read_text(encoding="utf-8"))
    for row in document["results"]:
        row["status"] = statuses.get(row["id"].replace("-", "_"), row["status"])
    return document


def size(result: Json, params: Json) -> int:
    """What Ansible sends back."""
    return len(json.dumps({**result, "changed": False, "invocation": {"module_args": params}}))


def test_what_is_found_is_the_answer() -> None:
    document = report(rds_netns_delivery="affected", skmsg_stale_copy="unknown", rds_bind_netns="affected")
    for row in document["results"]:
        if row["id"] == "rds-bind-netns":
            row["waived"] = {"reason": "known", "until": "2027-01-01"}
    found = audit_info.read_report(0, json.dumps(document), "a warning\n")
    assert found["affected"] == ["rds-netns-delivery"]
    assert found["unknown"] == ["skmsg-stale-copy"]
    assert found["release"] == document["host"]["release"]
    assert found["counts"] == document["summary"]["counts"]


@pytest.mark.parametrize(
    ("code", "out", "err", "why"),
    [
        (
            2,
            "",
            "one\nkprobe-tool: audit: w.toml: No such file or directory (ENOENT)\n",
            "exited with 2: kprobe-tool",
        ),
        (1, "", "", "exited with 1: it printed no reason"),
        (-9, "{}", "", "exited with -9"),
        (0, "", "", "not the output of"),
        (0, "[" * 100000, "", "nested too deep"),
        (0, "[]", "", "not the output of"),
        (0, '{"document": "fleet", "schema_version": 1}', "", "another document"),
        (0, '{"document": "audit", "schema_version": 2}', "", "another version"),
        (0, '{"document": "audit", "schema_version": 1}', "", "summary"),
        (0, " " * (audit_info.REPORT_MAX + 1), "", "larger than 4 MiB"),
    ],
)
def test_what_could_not_run_is_a_failure(code: int, out: str, err: str, why: str) -> None:
    with pytest.raises(audit_info.NoReport, match=why):
        audit_info.read_report(code, out, err)


@pytest.mark.parametrize(
    ("section", "member", "value"),
    [
        ("host", "hostname", "\x1b[31mred"),
        ("host", "release", "a" * 256),
        ("tool", "version", 1),
        ("host", "release", []),
    ],
)
def test_names_of_a_hostile_host_are_no_report(section: str, member: str, value: object) -> None:
    document = report()
    document[section][member] = value
    with pytest.raises(audit_info.NoReport):
        audit_info.read_report(0, json.dumps(document), "")


@pytest.mark.parametrize("value", ["\x1b[31mred", "", 7, None])
def test_a_check_without_a_name_is_no_report(value: object) -> None:
    document = report(rds_netns_delivery="affected")
    document["results"][2]["id"] = value
    assert document["results"][2]["status"] == "affected"
    with pytest.raises(audit_info.NoReport):
        audit_info.read_report(0, json.dumps(document), "")


def test_a_failure_is_one_line_without_control_characters() -> None:
    with pytest.raises(audit_info.NoReport) as raised:
        audit_info.read_report(2, "", "first\n\x1b[31mred" + "a" * 5000)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 600


def test_everything_that_there_is_fits() -> None:
    """Today's checks do, with the longest host name and an argument of some length."""
    document = report()
    document["host"]["hostname"] = "h" * 64
    for number, row in enumerate(document["results"]):
        row["status"] = "unknown" if number % 2 else "affected"
    params = {**DEFAULTS, "executable": "/usr/local/bin/kprobe-tool", "path": "~/.kprobe-tool-audit.json"}
    result = audit_info.trim(
        {**audit_info.read_report(0, json.dumps(document), ""), "report": "/root/.kprobe-tool-audit.json"}, params
    )
    assert not result["truncated"]
    assert size(result, params) <= audit_info.RETURN_MAX


@pytest.mark.parametrize(("affected", "unknown"), [(100, 0), (0, 100), (30, 100), (100, 100)])
def test_names_are_left_out_where_there_is_no_room(affected: int, unknown: int) -> None:
    result = {
        "counts": {"affected": affected, "unknown": unknown},
        "affected": [f"rds-affected-{number:03}" for number in range(affected)],
        "unknown": [f"rds-unknown-{number:03}" for number in range(unknown)],
    }
    trimmed = audit_info.trim(result, DEFAULTS)
    assert trimmed["truncated"]
    # A name more would not have fitted.
    assert audit_info.RETURN_MAX - 30 < size(trimmed, DEFAULTS) <= audit_info.RETURN_MAX
    assert trimmed["counts"] == result["counts"]
    assert not trimmed["unknown"] or len(trimmed["affected"]) == affected


def test_the_command_line_is_one_that_the_tool_has() -> None:
    params = {**DEFAULTS, "only": ["rds", "nvme"], "skip": ["rds-bind-netns"], "waivers": "/etc/waivers.toml"}
    name, *arguments = audit_info.arguments(params)
    assert name == "audit"
    # A command keeps the names of its help option, and has them from the context above.
    parsed = command.make_context("audit", arguments, parent=cli.make_context("kprobe-tool", [])).params
    assert parsed["only"] == ("rds", "nvme")
    assert parsed["skip"] == ("rds-bind-netns",)
    assert parsed["waivers"] == "/etc/waivers.toml"
    assert (parsed["output"], parsed["fail_on"], parsed["timeout"]) == ("json", "never", 300)


def test_what_is_copied_from_the_tool_equals_it() -> None:
    assert set(audit_info.BUCKETS) == set(BUCKETS)
    assert audit_info.REPORT_MAX == merge.REPORT_MAX


def test_ansible_is_imported_on_the_host_only() -> None:
    """And nothing of kprobe-tool, nor what Python 3.8 has not."""
    tree = ast.parse(Path(audit_info.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))
    top = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    top |= {node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert top == {"__future__", "json", "os", "re", "tempfile", "typing"}
