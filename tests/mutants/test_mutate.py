# SPDX-License-Identifier: GPL-2.0-or-later
"""What is changed, and what is left alone."""

from __future__ import annotations

import ast
import textwrap
import tomllib
from pathlib import Path

import pytest

from . import __main__ as tool
from .mutate import find_enums, mutants

STATUS = {"Status": ("OK", "AFFECTED", "UNKNOWN")}


def bodies(body: str) -> dict[str, str]:
    """The changes of a function's body: what each is called, and what it makes of the body."""
    source = "def function(a, b):\n" + textwrap.indent(body, "    ")
    found = {}
    for mutant in mutants(source, STATUS):
        (function,) = mutant.module.body
        assert isinstance(function, ast.FunctionDef)
        found[mutant.change] = "\n".join(map(ast.unparse, function.body))
    return found


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ("return a == b", {"== to !=": "return a != b"}),
        ("return a < b", {"< to <=": "return a <= b", "< to >=": "return a >= b"}),
        ("return a is not b", {"is not to is": "return a is b"}),
        ("return a not in b", {"not in to in": "return a in b"}),
        ("return a and b", {"and to or": "return a or b"}),
        ("return not a", {"not dropped": "return a"}),
        ("return a & b", {"& to |": "return a | b"}),
        ("return True", {"True to False": "return False"}),
        ("return 3", {"3 to 4": "return 4", "3 to 2": "return 2"}),
        ("return Status.OK", {"OK to AFFECTED": "return Status.AFFECTED"}),
        ("return Status.UNKNOWN", {"UNKNOWN to OK": "return Status.OK"}),
        ("return any(a)", {"any to all": "return all(a)"}),
        ("return a if b else a", {"condition negated": "return a if not b else a"}),
        ("return [a for a in b if a]", {"condition negated": "return [a for a in b if not a]"}),
        ("return a + 'text'", {}),
        ("raise ValueError(1)", {}),
        ("return Other.OK", {}),
    ],
)
def test_each_kind_of_change_is_made(body: str, changed: dict[str, str]) -> None:
    assert bodies(body) == changed


def test_data_is_left_alone() -> None:
    assert not list(mutants("LIMIT = 3\nclass A:\n    on = True\n", {}))


def test_members_of_enumerations_are_found() -> None:
    assert find_enums(["class Status(StrEnum):\n    OK = 'ok'\n    UNKNOWN = 'unknown'\n", "class Other: pass"]) == {
        "Status": ("OK", "UNKNOWN")
    }


@pytest.mark.parametrize("path", tool.judging_modules(), ids=lambda path: str(path.relative_to(tool.SOURCES)))
def test_judging_code_has_tests(path: Path) -> None:
    assert tool.tests_of(path)


def test_equivalents_are_of_this_code() -> None:
    """Their files and lines are there, and each has a reason."""
    for row in tomllib.loads(tool.EQUIVALENT.read_text()).get("equivalent", []):
        assert row["why"]
        source = (tool.SOURCES / row["file"]).read_text()
        assert row["line"] in [line.strip() for line in source.splitlines()], row
