# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands on this host, for real, whatever it is: asked as root and as nobody, and left as it was."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..nobody import command_as_nobody
from ..skips import skip

ARGV = [sys.executable, "-m", "kprobe_tool"]


def is_rds_registered() -> bool:
    return any(line.startswith("RDS ") for line in Path("/proc/net/protocols").read_text().splitlines())


def state() -> dict[str, Any]:
    modules = Path("/proc/modules")
    return {
        "modules": sorted(line.split()[0] for line in modules.read_text().splitlines()) if modules.exists() else None,
        "sys_module": sorted(os.listdir("/sys/module")),
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "netns": sorted(os.listdir("/run/netns")) if Path("/run/netns").exists() else None,
        "protocols": sorted(line.split()[0] for line in Path("/proc/net/protocols").read_text().splitlines()),
        "tmp": sorted(name for name in os.listdir("/tmp") if "kprobe" in name),
    }


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ARGV, *args], check=False, capture_output=True, text=True, cwd="/")


def run_as_nobody(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command_as_nobody([*ARGV, *args]), check=False, capture_output=True, text=True, cwd="/")


@pytest.mark.parametrize("runner", [run, run_as_nobody])
@pytest.mark.parametrize("command", ["audit", "doctor", "rds-info"])
def test_commands_change_nothing(command: str, runner: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    before = state()
    done = runner(command, "-o", "json")
    assert done.returncode in {0, 1}, done.stderr
    assert json.loads(done.stdout)["document"] == command
    assert "Traceback" not in done.stderr
    assert state() == before


def test_rds_that_is_not_loaded_is_no_error() -> None:
    if is_rds_registered():
        skip("RDS is loaded here")
    audit = run("audit", "-o", "json")
    rows = [row for row in json.loads(audit.stdout)["results"] if row["system"] == "rds"]
    assert {row["status"] for row in rows} == {"not-applicable"}
    info = run("rds-info")
    assert info.returncode == 0
    assert info.stdout.startswith("RDS is not loaded")
    check = run("rds-info", "--leak-check")
    assert check.returncode == 0
    answer = run("rds-info", "--netns", "-o", "json")
    assert json.loads(answer.stdout)["results"] == []


def test_no_rds_socket_is_made_without_rds() -> None:
    """Not even one that fails: the call alone is what loads the module."""
    if is_rds_registered():
        skip("RDS is loaded here")
    trace = ["strace", "-f", "-qq", "-e", "trace=socket", "-e", "signal=none"]
    for args in (["rds-info", "--all-netns"], ["rds-info", "--leak-check"], ["audit"], ["doctor"]):
        try:
            done = subprocess.run([*trace, *ARGV, *args], check=False, capture_output=True, text=True)
        except FileNotFoundError:
            skip("strace is not installed")
        if "ptrace" in done.stderr:
            skip("strace may not trace here")
        assert "AF_RDS" not in done.stderr and "socket(21" not in done.stderr


def test_a_misspelt_netns_leaves_nothing() -> None:
    before = state()
    done = run("rds-info", "--netns", "no-such-name")
    assert done.returncode == 2
    assert done.stderr == (
        "kprobe-tool: rds-info: netns 'no-such-name': No such file or directory (ENOENT); "
        "'ip netns list' shows the names\n"
    )
    assert state() == before
    assert not Path("/run/netns/no-such-name").exists()
