# SPDX-License-Identifier: GPL-2.0-or-later
"""README.md shows what the program prints, and commands that exist."""

from __future__ import annotations

import re
import shlex

import pytest

from kprobe_tool.cli import COMMANDS, cli

from . import readme
from .test_man import parse

TEXT = readme.README.read_text(encoding="utf-8")


def test_transcripts_are_what_the_commands_print(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written anew by: python -m tests.unit.readme"""
    monkeypatch.chdir(readme.ROOT)
    assert readme.BLOCK.findall(TEXT) == list(readme.COMMANDS)
    assert readme.renew_transcripts(TEXT) == TEXT


def test_commands_parse() -> None:
    """The commands of the table, in back quotes, and those of the indented lines."""
    lines = re.findall(r"`kprobe-tool ([^`]*)`", TEXT) + re.findall(r"^    kprobe-tool ([^#\n]*)", TEXT, re.MULTILINE)
    assert len(lines) > 10
    for line in lines:
        words = shlex.split(line)
        if words[0] in COMMANDS:
            parse(cli, "kprobe-tool", words)


def test_every_command_answers_a_question() -> None:
    for name in COMMANDS:
        assert f"kprobe-tool {name}" in TEXT
