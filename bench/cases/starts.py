# SPDX-License-Identifier: GPL-2.0-or-later
"""What it costs to start: commands that have next to nothing to do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager

from ..model import OURS, Case, Contenders, at_most, python, tool

CLICK = "import click"
ANY = (0, 1, 3)
"""What is found, or cannot be told, depends on the host."""


NOTE = (
    "What is beyond click is imports, as `python -X importtime -m kprobe_tool COMMAND` lists them: tabulate (with "
    "importlib.metadata and email), the classes of records, and for the verifier the patterns of its messages."
)


def beside_click(*words: str, codes: Collection[int] = (0,)) -> Callable[[int], AbstractContextManager[Contenders]]:
    """The command, and the interpreter with the library that every command of this kind needs."""

    @contextmanager
    def prepare(size: int) -> Iterator[Contenders]:
        yield {OURS: tool(*words, codes=codes), CLICK: python(CLICK)}

    return prepare


def start(name: str, row: int, limit: float, *words: str, codes: Collection[int] = (0,)) -> Case:
    return Case(
        name,
        row,
        f"`{' '.join(words)}`",
        beside_click(*words, codes=codes),
        [at_most(OURS, CLICK, limit)],
        rounds=7,
        note="" if row == 1 else NOTE,
    )


CASES = (
    start("help", 1, 1.25, "--help"),
    start("check-fields", 2, 1.6, "check-fields", "openat2", codes=ANY),
    start("require", 2, 1.6, "check-fields", "openat2", "--require", "RESOLVE_BENEATH", codes=ANY),
    start("rds-info", 3, 1.6, "rds-info", codes=ANY),
    start("nvme-queues", 3, 1.6, "nvme-queues", codes=ANY),
    start("audit-list", 3, 1.6, "audit", "--list"),
    start("explain-check", 3, 1.6, "explain", "rds-info-netns-leak"),
    start("explain-errno", 3, 1.6, "verifier-log", "explain", "/dev/null", "--errno", "EPERM", codes=ANY),
)
