# SPDX-License-Identifier: GPL-2.0-or-later
"""One class a word: a reader who meets a name need not ask whose it is."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "src" / "kprobe_tool"
TESTS = Path(__file__).parents[1]

OF_EACH_PROGRAM = {"settings"}
"""Named by the C of bpf/: each program has its own ``struct settings``, and no two meet."""

RIDDLES = {"told", "said", "known", "asked", "held", "passed", "thread", "tally"}
"""Words that say nothing at the place of a call."""


def test_no_two_classes_share_a_name() -> None:
    names = Counter(
        node.name
        for path in SOURCES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert {name for name, count in names.items() if count > 1} == OF_EACH_PROGRAM


def test_no_function_is_a_riddle() -> None:
    found = {
        f"{path.relative_to(SOURCES)}: {node.name}"
        for path in SOURCES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name in RIDDLES
    }
    assert found == set()


def test_no_test_is_one_word() -> None:
    """Its name says what holds, and not only what it is about."""
    found = [
        f"{path.relative_to(TESTS)}: {name}"
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"^ *def (test_[a-z0-9]+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert found == []
