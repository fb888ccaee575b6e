# SPDX-License-Identifier: GPL-2.0-or-later
"""contrib/monitoring, judged by the programs that read it: promtool, NRPE and node-problem-detector."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import pytest

from ..nobody import NOBODY, command_within_reach
from . import tools

MONITORING = Path(__file__).parents[2] / "contrib" / "monitoring"
RULES = "kprobe-tool.rules.yml"
TESTS = "kprobe-tool.test.yml"
TOOL = Path(sys.prefix) / "bin" / "kprobe-tool"
NRPE = """\
server_address=127.0.0.1
server_port={port}
pid_file={directory}/pid
nrpe_user={user}
nrpe_group={user}
allowed_hosts=127.0.0.1
command_timeout=60
include={directory}/kprobe-tool.cfg
"""


def promtool(*arguments: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    argv = [tools.find("promtool"), *map(str, arguments)]
    return subprocess.run(argv, input=text, check=False, capture_output=True, text=True)


def test_the_alert_rules_pass_their_tests() -> None:
    done = promtool("check", "rules", MONITORING / "prometheus" / RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    done = promtool("test", "rules", MONITORING / "prometheus" / TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('severity="high"', 'severity="low"'),
        ('severity=~"medium|low"', 'severity="medium"'),
        ('status="affected", severity="high"', 'status="ok", severity="high"'),
        ("unless on (instance, job, check) kprobe_tool_check_waived == 1", ""),
        ("for: 3d", "for: 1d"),
        ("> 2 * 86400", "> 86400"),
        ("> 2 * 86400", "> 3 * 86400"),
        ("            and on (instance, job) node_uname_info\n", ""),
        ("unless on (instance, job, release) node_uname_info", ""),
        ("            and on (instance, job) up == 1\n", ""),
        ("unless on (instance, job) kprobe_tool_audit_time_seconds", ""),
        ("[7d]", "[1d]"),
        ("priority: critical", "priority: warning"),
    ],
)
def test_their_tests_can_fail(tmp_path: Path, old: str, new: str) -> None:
    rules = (MONITORING / "prometheus" / RULES).read_text()
    assert old in rules
    (tmp_path / RULES).write_text(rules.replace(old, new, 1))
    shutil.copy(MONITORING / "prometheus" / TESTS, tmp_path)
    done = promtool("test", "rules", tmp_path / TESTS)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED" in done.stdout + done.stderr


def test_what_this_host_writes_passes() -> None:
    argv = [str(TOOL), "audit", "-q", "-o", "prometheus", "--fail-on", "never"]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    done = promtool("check", "metrics", text=text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_node_problem_detector_s_rules_have_what_it_validates() -> None:
    """As pkg/custompluginmonitor/types/config.go of node-problem-detector has it."""
    config = json.loads((MONITORING / "node-problem-detector" / "kprobe-tool.json").read_text())
    assert config["plugin"] == "custom"
    limits = config["pluginConfig"]
    assert set(limits) <= {
        "invoke_interval",
        "timeout",
        "max_output_length",
        "concurrency",
        "enable_message_change_based_condition_update",
        "skip_initial_status",
    }
    conditions = {condition["type"] for condition in config["conditions"]}
    for rule in config["rules"]:
        assert set(rule) == {"type", "condition", "reason", "path", "args", "timeout"}
        assert rule["type"] == "permanent" and rule["condition"] in conditions
        # The whole's must not be smaller than a rule's.
        assert rule["timeout"] == limits["timeout"]


@pytest.mark.parametrize(("more", "status"), [((), None), (("--only", "no-such-check"), 2)])
def test_node_problem_detector_runs_the_plugin(tmp_path: Path, more: tuple[str, ...], status: int | None) -> None:
    """A real one, without a cluster: it says in its log what it made of the exit code, and counts it for Prometheus.

    Nobody packages it, so KPROBE_TOOL_NODE_PROBLEM_DETECTOR=PATH names one that was built from its source.
    """
    detector = os.environ.get("KPROBE_TOOL_NODE_PROBLEM_DETECTOR")
    if detector is None:
        pytest.skip("opt-in: KPROBE_TOOL_NODE_PROBLEM_DETECTOR=PATH")
    config = json.loads((MONITORING / "node-problem-detector" / "kprobe-tool.json").read_text())
    (rule,) = config["rules"]
    rule["path"] = str(TOOL)
    rule["args"] += more
    (tmp_path / "config.json").write_text(json.dumps(config))
    by_hand = subprocess.run([TOOL, *rule["args"]], check=False, capture_output=True, text=True)
    if status is None:
        # What it calls OK, not OK, and unknown.
        status = min(by_hand.returncode, 2)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [detector, f"--config.custom-plugin-monitor={tmp_path / 'config.json'}", "--enable-k8s-exporter=false"]
    argv += ["--port=0", "--prometheus-address=127.0.0.1", f"--prometheus-port={port}", "--v=3", "--logtostderr"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            # It ends with the pipe where the detector gives up.
            results = (line for line in running.stderr if "Add check result" in line)
            found = re.search(r"ExitStatus:(\d) Message:(.*?)} for rule", next(results))
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
                metrics = answer.read().decode()
        finally:
            running.terminate()
    assert found is not None
    assert int(found[1]) == status
    assert found[2] == by_hand.stdout.strip()[:80]
    assert 'problem_gauge{reason="KernelCheckAffected",type="KernelAffected"}' in metrics


def test_nrpe_runs_the_plugin() -> None:
    """A real NRPE, as a user without privileges, asked by its own client."""
    server, client = tools.find("nrpe"), tools.find("check_nrpe")
    with tempfile.TemporaryDirectory(prefix="kprobe-tool-nrpe-", dir="/tmp") as name, socket.socket() as probe:
        directory = Path(name)
        directory.chmod(0o755)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        text = (MONITORING / "nrpe" / "kprobe-tool.cfg").read_text()
        (directory / "kprobe-tool.cfg").write_text(text.replace("/usr/bin/kprobe-tool", str(TOOL)))
        (directory / "nrpe.cfg").write_text(NRPE.format(port=port, directory=directory, user=NOBODY))
        nrpe = subprocess.Popen(
            command_within_reach([server, "-n", "-f", "-c", str(directory / "nrpe.cfg")]),
            env=os.environ | {"LD_LIBRARY_PATH": tools.LIBRARIES},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            tools.wait_until_listening("127.0.0.1", port)
            argv = [client, "-n", "-H", "127.0.0.1", "-p", str(port), "-t", "60", "-c", "check_kprobe_tool"]
            done = subprocess.run(argv, check=False, capture_output=True, text=True)
        finally:
            nrpe.terminate()
            nrpe.wait()
    assert done.returncode in {0, 1, 2}, done.stdout
    assert done.stdout.startswith(f"KPROBE-TOOL {['OK', 'WARNING', 'CRITICAL'][done.returncode]}: ")
    assert "|ok=" in done.stdout
