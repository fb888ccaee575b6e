"""What each command touches is written down (touches.toml), and nothing else is done."""

from __future__ import annotations

import shutil
import tomllib
from functools import cache
from pathlib import Path

import pytest

from ..skips import skip
from . import FULL
from .invocations import INVOCATIONS, Invocation
from .touches import touched

SHORT = ("audit -o", "check-fields openat2 -o", "skmsg", "verifier-log load null", "rds-info --leak", "doctor")


@cache
def written_down() -> dict[str, frozenset[str]]:
    table = tomllib.loads(Path(__file__).with_name("touches.toml").read_text(encoding="utf-8"))
    groups = {name: frozenset(members) for name, members in table["groups"].items()}
    return {
        command: frozenset().union(*(groups[name] for name in names)) for command, names in table["commands"].items()
    }


@pytest.mark.parametrize("invocation", [each for each in INVOCATIONS if FULL or str(each).startswith(SHORT)], ids=str)
def test_nothing_else_is_touched(invocation: Invocation) -> None:
    if shutil.which("strace") is None:
        skip("strace is not installed")
    if invocation.arguments[0].startswith("-"):
        listed = frozenset[str]()
    else:
        name = " ".join(invocation.arguments[:2])
        listed = written_down()[name if name in written_down() else invocation.command]
    more = ("--duration", "0.2") if invocation.endless and "--watch" not in invocation.arguments else ()
    if "--watch" in invocation.arguments:
        more = ("--count", "2")
    assert touched((*invocation.arguments, *more)) - listed == frozenset()


def test_the_list_is_of_the_commands() -> None:
    """Each command that is run here is in it, and nobody else."""
    names = {each.command for each in INVOCATIONS if not each.arguments[0].startswith("-")}
    assert set(written_down()) - {"audit --list"} == names
