# SPDX-License-Identifier: GPL-2.0-or-later
"""What shells are offered, as they ask."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kprobe_tool.commands import completion

from ..test_cli import ARGV
from ..test_imports import HEAVY, loaded_modules


def complete_line(line: str, shell: str = "bash") -> list[str]:
    """The values for the last word of a command line, which may be empty."""
    *words, last = line.split(" ")
    position = last if shell == "fish" else str(len(words))
    environment = {"_KPROBE_TOOL_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": position}
    done = subprocess.run(ARGV, env={**os.environ, **environment}, check=True, capture_output=True, text=True)
    return [each.split(",", 1)[1] for each in done.stdout.splitlines() if each]


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("kprobe-tool check-fields opena", ["openat2"]),
        ("kprobe-tool check-fields openat2 --require RESOLVE_B", ["RESOLVE_BENEATH"]),
        ("kprobe-tool check-fields openat2 --require resolve,RESOLVE_B", ["resolve,RESOLVE_BENEATH"]),
        ("kprobe-tool check-fields --require RESOLVE_B", []),
        ("kprobe-tool verifier-log load --type xd", ["xdp"]),
        ("kprobe-tool verifier-log watch --type xd", ["xdp"]),
        ("kprobe-tool verifier-log explain --errno EAC", ["EACCES"]),
        ("kprobe-tool audit --only rds-b", ["rds-bind-netns"]),
        ("kprobe-tool audit --skip nvme,rds-b", ["nvme,rds-bind-netns"]),
        ("kprobe-tool explain openat", ["openat2-usize-limit"]),
        ("kprobe-tool schema doc", ["doctor"]),
        ("kprobe-tool rds-info --netns surely-none", []),
    ],
)
def test_what_fits_is_offered(line: str, values: list[str]) -> None:
    assert complete_line(line) == values


def test_names_are_completed_from_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("blue", "Black", "red"):
        (tmp_path / name).touch()
    monkeypatch.setattr(completion, "NAMED_NETNS", str(tmp_path))
    monkeypatch.setattr(completion, "NVME", str(tmp_path / "none"))
    from kprobe_tool.cli import cli

    context = cli.make_context("kprobe-tool", [])
    parameter = cli.params[0]
    assert completion.complete(completion.netns_names)(context, parameter, "bl") == ["Black", "blue"]
    assert completion.complete(completion.controller_names)(context, parameter, "") == []


@pytest.mark.parametrize(
    ("option", "below"),
    [("--sysfs", "class/nvme"), ("--sysfs", "sys/class/nvme"), ("--from-sos", "sys/class/nvme")],
)
def test_controllers_of_a_captured_tree_are_offered(option: str, below: str, tmp_path: Path) -> None:
    (tmp_path / below / "nvme7").mkdir(parents=True)
    assert complete_line(f"kprobe-tool nvme-queues {option} {tmp_path} n") == ["nvme7"]


def test_fish_keeps_what_is_behind_a_comma() -> None:
    environment = {**os.environ, "_KPROBE_TOOL_COMPLETE": "fish_source"}
    script = subprocess.run(ARGV, env=environment, check=True, capture_output=True, text=True).stdout
    assert 'string split -m 1 "," $completion' in script
    assert 'string split ","' not in script
    (help_text,) = [each for each in complete_line("kprobe-tool nvme", "fish") if each.startswith("nvme-queues")]
    assert help_text == "nvme-queues\tShow NVMe I/O queues, and what breaks at the next reconnect."


@pytest.mark.parametrize(
    "words", ["kprobe-tool check-fields openat2 --require R", "kprobe-tool verifier-log load --type x"]
)
def test_completion_of_values_loads_nothing_heavy(words: str) -> None:
    asked = {
        "_KPROBE_TOOL_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    assert not loaded_modules([], asked) & HEAVY
