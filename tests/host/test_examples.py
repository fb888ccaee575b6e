# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples of every command's help and manual page are run, in a directory with files of the names they use."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from kprobe_tool.cli import COMMANDS, cli
from kprobe_tool.errors import ExitCode
from kprobe_tool.lazy import LazyGroup

from ..unit.test_man import COMMAND_PAGES, command_lines, read

TESTS = Path(__file__).parents[1]
DATA = TESTS / "unit/data"
LOG = TESTS / "corpus/logs/7.3-rc7/accepted-with-branches.stats2.txt"
REJECTED = TESTS / "corpus/logs/6.12.43/index-off-by-one.txt"
FILES = {
    "build.log": REJECTED,
    "x.log": LOG,
    "ingress.log": LOG,
    "x.o": DATA / "verifier/null-check.o",
    "filter.bpf.o": DATA / "verifier/null-check.o",
    "rds.json": DATA / "rds/6.12.43+deb12-amd64.json",
}
ABSENT = ("nothing to save", "'blue'", "'nvme1'", "pid 4711", "captured/sys", "'sosreport'", "'ingress'")
"""What a reader of the examples has, and this host has not: the one error must be that it is missing."""
ENDLESS = ("watch", "--watch")
BOOTING = "matrix"
"""What boots kernels is run in tests/kernels/matrix."""
WAIVERS = """[[waiver]]
id = "rds-bind-netns"
reason = "one tenant only"
until = 2099-12-31
"""


def examples_of(command: click.Command) -> list[str]:
    """The command lines at the end of a command's help."""
    text = command.epilog or ""
    assert text.startswith("\b\nExamples:\n")
    return [line.strip() for line in text.splitlines()[2:]]


def commands(group: LazyGroup) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, LazyGroup):
            yield from commands(command)


def every_example() -> list[str]:
    """The examples of all helps and manual pages, each once, as they are written."""
    assert isinstance(cli, LazyGroup)
    found = {line: None for _, command in commands(cli) for line in examples_of(command)}
    found |= dict.fromkeys(examples_of(cli))
    for page in COMMAND_PAGES:
        found |= {
            shlex.join(["kprobe-tool", *call]): None
            for call in command_lines(read(page)["EXAMPLES"].examples)
            if call
        }
    return [line for line in found if BOOTING not in shlex.split(line)]


def test_each_command_has_two_or_three_examples() -> None:
    assert isinstance(cli, LazyGroup)
    names = []
    for name, command in commands(cli):
        names.append(name)
        lines = examples_of(command)
        assert 2 <= len(lines) <= 3, name
        assert all(line.startswith("kprobe-tool ") and name in line.split() for line in lines if name in COMMANDS), (
            name
        )
    assert set(COMMANDS) <= set(names)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("examples")
    for name, source in FILES.items():
        shutil.copy(source, path / name)
    (path / "waivers.toml").write_text(WAIVERS)
    tool = [sys.executable, "-m", "kprobe_tool"]
    for name, args in (
        ("audit.json", ["audit", "--only", "nvme"]),
        ("saved.json", ["check-fields", "--all"]),
    ):
        done = subprocess.run([*tool, *args, "-o", "json"], check=False, capture_output=True)
        (path / name).write_bytes(done.stdout)
    (path / "audits").mkdir()
    for name in ("last.json", "web1.json", "web2.json", "audits/web1.json"):
        shutil.copy(path / "audit.json", path / name)
    return path


def can_be_stopped(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM: it has got to what it ends in order (native/stop.py)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (caught,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("line", every_example())
@pytest.mark.slow
def test_every_example_runs(line: str, directory: Path) -> None:
    """Files below /var and /etc are replaced by those of the same name in the directory."""
    words = [os.path.basename(word) if word.startswith(("/var", "/etc")) else word for word in shlex.split(line)[1:]]
    endless = not set(ENDLESS).isdisjoint(words)
    with (
        (directory / "build.log").open() as log,
        subprocess.Popen(
            [sys.executable, "-m", "kprobe_tool", *words],
            cwd=directory,
            stdin=log,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            if endless:
                end = time.monotonic() + 4
                while time.monotonic() < end and process.poll() is None and not can_be_stopped(process.pid):
                    time.sleep(0.02)
            out, err = process.communicate(timeout=0.1 if endless else 120)
        except subprocess.TimeoutExpired:
            # By default it is Ctrl-C that ends such a command.
            process.send_signal(signal.SIGINT if endless else signal.SIGKILL)
            out, err = process.communicate()
    code = process.returncode
    if any(name in err for name in ABSENT):
        assert code == ExitCode.CANNOT_RUN and err.count("\n") == 1
        return
    # A monitoring plugin has exit codes of its own.
    ended = {2} if "nrpe" in words else {ExitCode.INTERRUPTED, -signal.SIGINT} if endless else set()
    assert code in {ExitCode.OK, ExitCode.FOUND, ExitCode.CANNOT_TELL} | ended, err
    assert "Traceback" not in err
    if "json" in words and out:
        assert json.loads(out)["errors"] is not None
