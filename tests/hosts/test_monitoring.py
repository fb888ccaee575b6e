# SPDX-License-Identifier: GPL-2.0-or-later
"""contrib/monitoring, judged by the programs that read it: promtool and NRPE."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
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
