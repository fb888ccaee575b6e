# SPDX-License-Identifier: GPL-2.0-or-later
"""The Ansible collection over ssh: fifteen hosts become one table, whatever is the matter with some of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contrib.ansible_collections.kprobe_tool.host.plugins.modules.audit_info import RETURN_MAX

from . import tools
from .servers import Host, hosts, inventory

ROOT = Path(__file__).parents[2]
TOOL = Path(sys.prefix) / "bin" / "kprobe-tool"
HOSTS = 15
DOWN = "host15"
LACKING_BCC = "host14"
UNPRIVILEGED = "host13"
UNREACHABLE = 4
"""What ansible-playbook exits with where a host could not be reached, and where one failed (2)."""
FAILED = 2
SSH = "-F none -o ControlMaster=no -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
PLAY = """\
- hosts: fleet
  gather_facts: false
  roles:
    - kprobe_tool.host.audit
  post_tasks:
    - ansible.builtin.copy:
        content: "{{ dict(ansible_play_hosts | zip(found)) | to_json }}"
        dest: "{{ playbook_dir }}/results.json"
        mode: "0644"
      vars:
        found: "{{ ansible_play_hosts | map('extract', hostvars, 'audit_result') }}"
      delegate_to: localhost
      run_once: true
      check_mode: false
      changed_when: false
"""

Json = dict[str, Any]


@dataclass(frozen=True)
class Controller:
    """Where Ansible runs, and which hosts it knows."""

    directory: Path
    hosts: list[Host]

    def play(self, *options: str, **variables: object) -> subprocess.CompletedProcess[str]:
        """Run the role on all hosts. Reports come to ``audits``, what the module returned to ``results.json``."""
        (self.directory / "play.yml").write_text(PLAY)
        argv = [tools.find("ansible-playbook"), "-i", "inventory", "play.yml", *options]
        argv += ["-e", json.dumps({"audit_executable": str(TOOL)} | variables)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")} | {
            "ANSIBLE_HOME": str(self.directory / "ansible"),
            "ANSIBLE_LOCAL_TEMP": str(self.directory / "ansible/tmp"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "contrib"),
            "ANSIBLE_COLLECTIONS_PATHS": str(ROOT / "contrib"),
            "ANSIBLE_FORKS": str(HOSTS),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_SSH_ARGS": SSH,
            "ANSIBLE_TIMEOUT": "120",
            "LC_ALL": "C.UTF-8",
        }
        return subprocess.run(
            argv, cwd=self.directory, env=environment, check=False, capture_output=True, text=True, timeout=1200
        )

    def results(self) -> dict[str, Json]:
        """What the module returned, by host."""
        found: dict[str, Json] = json.loads((self.directory / "results.json").read_text())
        return found

    def reports(self) -> list[str]:
        return sorted(path.stem for path in (self.directory / "audits").glob("*.json"))


@pytest.fixture(scope="module")
def controller() -> Iterator[Controller]:
    # Not below pytest's directory, which is closed to the user without privileges.
    directory = Path(tempfile.mkdtemp(prefix="kprobe-tool-hosts-", dir="/tmp"))
    try:
        directory.chmod(0o755)
        with hosts(directory, HOSTS, down=[DOWN], lacking_bcc=[LACKING_BCC]) as found:
            text = inventory(found, directory / "key", sys.executable, [UNPRIVILEGED])
            (directory / "inventory").write_text(text)
            yield Controller(directory, found)
    finally:
        shutil.rmtree(directory)


def fleet(controller: Controller, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [str(TOOL), "fleet", *options, "audits/"]
    return subprocess.run(argv, cwd=controller.directory, check=False, capture_output=True, text=True)


def test_fifteen_hosts_become_one_table(controller: Controller) -> None:
    (controller.directory / "audits").mkdir(exist_ok=True)
    (controller.directory / "audits" / f"{DOWN}.json").write_text("of the last time")
    done = controller.play()
    assert done.returncode == UNREACHABLE, done.stdout + done.stderr
    print(done.stdout)
    names = [host.name for host in controller.hosts if host.up]
    assert controller.reports() == names
    assert f"No report of: {DOWN}" in done.stdout

    results = controller.results()
    assert sorted(results) == names
    for name, result in results.items():
        assert (result["hostname"], result["changed"], result["failed"]) == (name, False, False)
        assert len(json.dumps(result)) <= RETURN_MAX
        assert len((controller.directory / "audits" / f"{name}.json").read_bytes()) > 5 * RETURN_MAX
        assert not result["truncated"]
        assert Path(result["report"]).stat().st_mode & 0o777 == 0o600

    table = fleet(controller, "--fail-on", "never")
    print(table.stdout)
    assert (table.returncode, table.stderr) == (0, "")
    assert table.stdout.startswith("14 hosts, 1 kernel, asked ")
    merged = json.loads(fleet(controller, "--fail-on", "never", "-o", "json").stdout)
    assert [row["hostname"] for row in merged["results"]] == names
    for row in merged["results"]:
        found = results[row["hostname"]]
        assert sorted(found["affected"]) == sorted(check for check, is_ in row["checks"].items() if is_ == "affected")
        assert sorted(found["unknown"]) == sorted(check for check, is_ in row["checks"].items() if is_ == "unknown")


def test_check_mode_asks_and_writes_nothing(controller: Controller) -> None:
    for host in controller.hosts:
        (host.directory / "root" / ".kprobe-tool-audit.json").unlink(missing_ok=True)
    done = controller.play("--check", "--limit", "host01,host02")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("changed=0") == len(["host01", "host02"])
    results = controller.results()
    assert sorted(results) == ["host01", "host02"]
    assert all(result["report"] is None and result["counts"] for result in results.values())
    assert not list(controller.directory.glob("host*/root/.kprobe-tool-audit.json"))


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"audit_executable": "/nonexistent/kprobe-tool"}, "Failed to find required executable"),
        ({"audit_executable": "/bin/false"}, "'kprobe-tool audit' exited with 1"),
        ({"audit_waivers": "/nonexistent.toml"}, "nonexistent.toml: No such file or directory (ENOENT)"),
        ({"audit_only": ["no-such-check"]}, "exited with 2"),
        ({"audit_path": "/nonexistent/audit.json"}, "nonexistent"),
    ],
)
def test_what_cannot_run_fails(controller: Controller, variables: dict[str, object], why: str) -> None:
    done = controller.play("--limit", "host01", **variables)
    assert done.returncode == FAILED, done.stdout + done.stderr
    assert why in done.stdout
    assert "Traceback" not in done.stdout
