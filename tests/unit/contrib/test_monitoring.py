# SPDX-License-Identifier: GPL-2.0-or-later
"""contrib/monitoring against the commands and the metrics that there are.

tests/hosts has its rules judged by promtool and its plugin asked by NRPE.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from kprobe_tool.checks import Severity, Status
from kprobe_tool.cli import cli
from kprobe_tool.commands.audit.command import command
from kprobe_tool.errors import ExitCode
from kprobe_tool.report.line import BYTES_MAX

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "contrib" / "monitoring"
RULES = (MONITORING / "prometheus" / "kprobe-tool.rules.yml").read_text()
GOLDEN = (ROOT / "tests" / "unit" / "data" / "golden" / "audit.prometheus").read_text()
DETECTOR = json.loads((MONITORING / "node-problem-detector" / "kprobe-tool.json").read_text())
# node-problem-detector v0.8: pkg/custompluginmonitor/types/{config,types}.go and pkg/types/types.go
DETECTOR_KEYS = {"plugin", "pluginConfig", "source", "metricsReporting", "conditions", "rules"}
PLUGIN_KEYS = {
    "invoke_interval",
    "timeout",
    "max_output_length",
    "concurrency",
    "enable_message_change_based_condition_update",
}
CONDITION_KEYS = {"type", "reason", "message"}
RULE_KEYS = {"type", "condition", "reason", "path", "args", "timeout"}


def parse(argv: list[str]) -> dict[str, Any]:
    """The options of a command line of audit."""
    assert argv[:2] == ["/usr/bin/kprobe-tool", "audit"]
    # A command keeps the names of its help option, and has them from the context above.
    with command.make_context("audit", argv[2:], parent=cli.make_context("kprobe-tool", [])) as context:
        assert isinstance(context, click.Context)
        return context.params


def seconds(duration: str) -> int:
    """A duration of one number and one unit, as Go reads it."""
    found = re.fullmatch(r"(\d+)([smh])", duration)
    assert found
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def test_the_rules_know_the_metrics() -> None:
    metrics = set(re.findall(r"^(kprobe_tool_\w+)", GOLDEN, re.MULTILINE))
    assert set(re.findall(r"\bkprobe_tool_\w+", RULES)) == metrics
    labels = set(re.findall(r'(\w+)="', GOLDEN)) | {"instance", "job"}
    assert set(re.findall(r"\$labels\.(\w+)", RULES)) <= labels
    for joined in re.findall(r"on \((.*?)\)", RULES):
        assert set(joined.split(", ")) <= labels


def test_the_rules_know_the_values() -> None:
    severities = [set(value.split("|")) for value in re.findall(r'severity=~?"(.*?)"', RULES)]
    assert set.union(*severities) == {severity.value for severity in Severity}
    assert set(re.findall(r'status="(.*?)"', RULES)) == {Status.AFFECTED.value, Status.UNKNOWN.value}


def test_nrpe_calls_audit_as_a_plugin() -> None:
    lines = (MONITORING / "nrpe" / "kprobe-tool.cfg").read_text().splitlines()
    (line,) = [line for line in lines if line and not line.startswith("#")]
    found = re.fullmatch(r"command\[(\w+)\]=(.+)", line)
    assert found
    options = parse(shlex.split(found[2]))
    assert (options["output"], options["fail_on"], options["skip"]) == ("nrpe", "medium", ("skmsg",))


def test_node_problem_detector_takes_every_member() -> None:
    """What its own Validate() wants, and no member that it would pass over in silence."""
    plugin = DETECTOR["pluginConfig"]
    assert set(DETECTOR) == DETECTOR_KEYS
    assert set(plugin) == PLUGIN_KEYS
    assert DETECTOR["plugin"] == "custom"
    assert plugin["max_output_length"] >= BYTES_MAX
    assert seconds(plugin["invoke_interval"]) > seconds(plugin["timeout"])
    (condition,) = DETECTOR["conditions"]
    (rule,) = DETECTOR["rules"]
    assert set(condition) == CONDITION_KEYS
    assert set(rule) == RULE_KEYS
    assert (rule["type"], rule["condition"]) == ("permanent", condition["type"])
    assert seconds(rule["timeout"]) <= seconds(plugin["timeout"])
    assert parse([rule["path"], *rule["args"]])["output"] == "line"


@pytest.mark.parametrize(("code", "meaning"), [(ExitCode.OK, "OK"), (ExitCode.FOUND, "NonOK")])
def test_node_problem_detector_has_the_exit_codes(code: ExitCode, meaning: str) -> None:
    """pkg/custompluginmonitor/types/types.go; every other code is Unknown."""
    assert {"OK": 0, "NonOK": 1}[meaning] == code
