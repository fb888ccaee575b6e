# SPDX-License-Identifier: GPL-2.0-or-later
"""Importing is what a command line tool spends its time on: who loads what is held here, not with a clock."""

import os
import re
import subprocess
import sys
from functools import cache

import pytest

from .test_lazy import ALL_COMMANDS

HEAVY = {"pyroute2", "bcc", "tabulate", "asyncio", "importlib.metadata", "logging.handlers", "jsonschema"}


def loaded_modules(args: list[str], environment: dict[str, str] | None = None) -> set[str]:
    """The modules that a process with these arguments has loaded when it ends."""
    code = (
        "import atexit, os, sys\n"
        "atexit.register(lambda: os.write(3, '\\n'.join(sys.modules).encode()))\n"
        f"sys.argv = {['kprobe-tool', *args]!r}\n"
        "from kprobe_tool.cli import main\n"
        "main()\n"
    )
    reader, writer = os.pipe()
    # Site packages that put themselves on the path (-I -S would hide ours) load nothing of HEAVY.
    process = subprocess.Popen(
        [sys.executable, "-c", f"import os; os.dup2({writer}, 3)\n{code}"],
        pass_fds=[writer],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        names = file.read().decode().split("\n")
    process.wait()
    assert "kprobe_tool.cli" in names
    return set(names)


@cache
def modules_of_click() -> frozenset[str]:
    """What click needs, and what this interpreter loads by itself: no command can do without."""
    done = subprocess.run(
        [sys.executable, "-c", "import click, sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return frozenset(done.stdout.split())


@pytest.mark.parametrize(
    ("args", "spared"),
    [
        ("--help", "dataclasses traceback kprobe_tool.files kprobe_tool.report.document"),
        ("--version", "dataclasses traceback kprobe_tool.files kprobe_tool.report.document"),
        ("audit --list -o json", "pathlib pickle socket traceback kprobe_tool.native.fork"),
        ("explain rds-bind-netns -o json", "pathlib pickle socket traceback kprobe_tool.native.fork"),
        ("check-fields openat2 -o json", "pathlib pickle platform traceback kprobe_tool.checks"),
        ("check-fields openat2 --require RESOLVE_BENEATH", "platform tabulate traceback kprobe_tool.checks"),
        # The options are read, and where to ask is looked for; what reads the answers is for hosts that have some.
        ("rds-info --netns no-such-name", "ipaddress json pickle platform kprobe_tool.native.rds_info"),
        ("nvme-queues -o json", "pathlib platform traceback kprobe_tool.probes.nvme.sosreport"),
    ],
)
def test_what_a_start_does_without(args: str, spared: str) -> None:
    loaded = loaded_modules(args.split()) - modules_of_click()
    assert "kprobe_tool.cli" in loaded
    assert not loaded & set(spared.split())


@pytest.mark.parametrize(
    "args", [["--version"], ["--help"], *[[*path, "--help"] for path in ALL_COMMANDS]], ids=" ".join
)
def test_help_loads_nothing_heavy(args: list[str]) -> None:
    assert not loaded_modules(args) & HEAVY


def test_top_help_loads_no_command() -> None:
    assert not [name for name in loaded_modules(["--help"]) if name.startswith("kprobe_tool.commands")]


@pytest.mark.parametrize("words", ["kprobe-tool ", "kprobe-tool rds-info --"])
def test_completion_loads_nothing_heavy(words: str) -> None:
    names = loaded_modules(
        [], {"_KPROBE_TOOL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    )
    assert not names & HEAVY


def test_json_needs_no_table() -> None:
    assert not loaded_modules(["rds-info", "-o", "json"]) & HEAVY


@pytest.mark.parametrize(
    "args",
    [
        ["audit", "--list"],
        ["explain", "rds-bind-netns"],
        ["schema"],
        ["schema", "audit"],
        ["audit", "-o", "prometheus"],
    ],
    ids=" ".join,
)
def test_what_knows_the_checks_does_not_load_them(args: list[str]) -> None:
    """Not even running them does: that is for the processes that the checks run in."""
    names = loaded_modules(args)
    assert not names & {"pyroute2", "bcc"}
    assert not [name for name in names if re.match(r"kprobe_tool\.probes\.(rds|nvme|extensible_structs)", name)]


@pytest.mark.parametrize(
    "args", [["audit"], ["audit", "--list"], ["explain", "rds-bind-netns"], ["schema"]], ids=" ".join
)
def test_audit_needs_no_table_for_json(args: list[str]) -> None:
    assert not loaded_modules([*args, "-o", "json"]) & HEAVY
