# SPDX-License-Identifier: GPL-2.0-or-later
"""What each command touches is written down (touches.toml), and nothing else is done."""

from __future__ import annotations

import re
import shutil
import tomllib
from functools import cache
from pathlib import Path

import pytest

from ..skips import skip
from . import FULL
from .invocations import INVOCATIONS, Invocation
from .touches import trace_touches

SHORT = ("audit -o", "check-fields openat2 -o", "skmsg", "verifier-log load null", "rds-info --leak", "doctor")


MAN = Path(__file__).parents[2] / "man"
TABLE = Path(__file__).with_name("touches.toml")


@cache
def read_touches() -> dict[str, frozenset[str]]:
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
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
        listed = read_touches()[name if name in read_touches() else invocation.command]
    more = ("--duration", "0.2") if invocation.endless and "--watch" not in invocation.arguments else ()
    if "--watch" in invocation.arguments:
        more = ("--count", "2")
    assert trace_touches((*invocation.arguments, *more)) - listed == frozenset()


def test_the_list_is_of_the_commands() -> None:
    """Each command that is run here is in it, and nobody else."""
    names = {each.command for each in INVOCATIONS if not each.arguments[0].startswith("-")}
    assert set(read_touches()) - {"audit --list"} == names


def section_of(command: str) -> str:
    """What a man page says of what a command touches, as one line without its macros."""
    name, _, below = command.partition(" ")
    page = (MAN / f"kprobe-tool-{name}.1").read_text(encoding="utf-8")
    found = re.search(r"^\.SH WHAT IT TOUCHES\n(.*?)^\.SH ", page, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{command}: no section WHAT IT TOUCHES"
    _, *parts = re.split(r"^\.SS (.*)\n", "\n" + found[1], flags=re.MULTILINE)
    # What stands under no heading is about all commands of the page.
    text = dict(zip(parts[::2], parts[1::2], strict=True))[below] if parts else found[1]
    return " ".join(re.sub(r"^\.\S+ ?", "", line) for line in text.splitlines())


@pytest.mark.parametrize("command", read_touches())
def test_the_man_page_names_it(command: str) -> None:
    words: dict[str, list[str]] = tomllib.loads(TABLE.read_text(encoding="utf-8"))["words"]
    text = section_of(command)
    for touch in read_touches()[command]:
        nearest = max((begin for begin in words if touch.startswith(begin)), key=len, default=None)
        assert nearest is not None, f"no words for {touch}"
        choice = words[nearest]
        assert not choice or any(re.search(rf"\b{word}s?\b", text) for word in choice), f"{touch}: none of {choice}"
    if not read_touches()[command]:
        assert text.startswith("Nothing")


def test_every_word_explains_a_touch() -> None:
    """None is there for what no command does any more."""
    words: dict[str, list[str]] = tomllib.loads(TABLE.read_text(encoding="utf-8"))["words"]
    touches = frozenset().union(*read_touches().values())
    assert [begin for begin in words if not any(touch.startswith(begin) for touch in touches)] == []
