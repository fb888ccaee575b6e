# SPDX-License-Identifier: GPL-2.0-or-later
"""What it costs to start: commands that have next to nothing to do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager

from .. import peers
from ..model import OURS, Case, Contenders, at_most, python, tool

CLICK = "import click"
NEWEST = f"{OURS}, newest libraries"
ANY = (0, 1, 3)
"""What is found, or cannot be told, depends on the host."""

NOTE = (
    "What is beyond click is imports, as `python -X importtime -m kprobe_tool COMMAND` lists them. Of the "
    "newest libraries tabulate 0.10 alone is 30 ms where a table is printed: it asks importlib.metadata for its "
    "own version, which imports email, zipfile and some forty more. 0.8.9 of Debian 12 is 4 ms, 0.9.0 of Debian "
    "13 is 7 ms."
)

HELP = (
    "Half of what is beyond click is what click itself imports to print help (shutil, textwrap, locale), half "
    "our six modules with the table of commands."
)
TABLE = (
    "Imports. Of what is beyond click some 40 % are the classes of records (20 to 30 NamedTuples, 0.2 ms each, "
    "enumerations, a dataclass), a quarter is ctypes, socket and signal, the rest our own modules' bytecode and "
    "the table. Records without names and types would be faster and harder to read."
)
ASKING = (
    "Imports are 70 %: ctypes, socket, json, struct, and 35 classes of records (NamedTuples of 0.2 ms each). "
    "The rest is the asking: a child makes the calls, since a filter may kill who makes one, and the kernel's "
    "types (5.5 MB of BTF) are read as a second witness. A prober without records, or a verdict without the "
    "witness, would be faster, and worth less."
)
PATTERNS = (
    "Imports. Of what is beyond click a fifth is compiling 64 regular expressions for what a log can look like, "
    "a quarter nine frozen dataclasses (1 ms each) and two dozen NamedTuples, the rest the bytecode of all that "
    "knows logs, with the rows of the messages. An errno alone could be explained without these, by a second "
    "way through the explaining."
)


def beside_click(*words: str, codes: Collection[int] = (0,)) -> Callable[[int], AbstractContextManager[Contenders]]:
    """The command, and the interpreter with the library that every command of this kind needs."""

    @contextmanager
    def prepare(size: int) -> Iterator[Contenders]:
        yield {
            OURS: tool(*words, codes=codes),
            NEWEST: peers.given("NEWEST", "-m", "kprobe_tool", *words, codes=codes),
            CLICK: python(CLICK),
        }

    return prepare


def start(name: str, row: int, limit: float, *words: str, why: str, codes: Collection[int] = (0,)) -> Case:
    return Case(
        name,
        row,
        f"`{' '.join(words)}`",
        beside_click(*words, codes=codes),
        [at_most(OURS, CLICK, limit, why=why)],
        rounds=11,
        note="" if row == 1 else NOTE,
    )


CASES = (
    start("help", 1, 1.25, "--help", why=HELP),
    start("check-fields", 2, 1.6, "check-fields", "openat2", why=ASKING, codes=ANY),
    start("require", 2, 1.6, "check-fields", "openat2", "--require", "RESOLVE_BENEATH", why=ASKING, codes=ANY),
    start("rds-info", 3, 1.6, "rds-info", why=TABLE, codes=ANY),
    start("nvme-queues", 3, 1.6, "nvme-queues", why=TABLE, codes=ANY),
    start("audit-list", 3, 1.6, "audit", "--list", why=TABLE),
    start("explain-check", 3, 1.6, "explain", "rds-info-netns-leak", why=TABLE),
    start(
        "explain-errno", 3, 1.6, "verifier-log", "explain", "/dev/null", "--errno", "EPERM", why=PATTERNS, codes=ANY
    ),
)
