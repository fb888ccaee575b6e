# SPDX-License-Identifier: GPL-2.0-or-later
"""The audit beside its checks one by one; what compiles BPF beside the compiling."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from kprobe_tool.checks import CHECKS

from ..model import OURS, Case, Command, Contenders, Mark, at_most, python, tool

ANY = (0, 1, 3)
APART = "its checks apart"
COMPILED = "compile and load"

PROGRAMS = {
    "skmsg_check": """
from kprobe_tool.native.programs.skmsg_check import CheckProgram
CheckProgram().close()
""",
    "doctor": """
from kprobe_tool.native import bcc, bpf
from kprobe_tool.native.programs import doctor
with bcc.Object("doctor.c") as compiled:
    compiled.load(doctor.FUNCTION, bpf.BPF_PROG_TYPE_SK_MSG)
""",
}
"""One program compiled and loaded, and nothing asked of it."""


AUDIT = (
    "Some 450 ms are one compilation, of the program that the checks of skmsg share: libbcc's clang takes 214 "
    "ms for an empty program already, and loading the library takes 60 ms. It is left out only where no check "
    "would use it. Imports are some 60 ms. /proc/kallsyms is read by checks of three systems, in processes of "
    "their own: 62 ms each, of which 36 are the kernel's, which makes the text. One could hand it to the other; "
    "then checks would depend on each other."
)
SKMSG = (
    "Beyond the compiling: /proc/kallsyms is read for one symbol (62 ms, of which 36 are the kernel's, which "
    "makes the text), some 50 ms are imports, and the rest is the check itself, in a child with sockets of its "
    "own."
)
DOCTOR = (
    "Beyond the compiling it is imports (some 60 ms of CPU, as doctor asks each system what it needs), and the "
    "host's privileges, modules and types. The text of the table costs 4 ms, or 30 ms with tabulate 0.10."
)


@contextmanager
def audit(size: int) -> Iterator[Contenders]:
    names = [check.id for check in CHECKS if check.default]
    tools = f"{sys.executable} -m kprobe_tool audit --fail-on never --only"
    apart = "; ".join(f"{tools} {name}" for name in names)
    yield {OURS: tool("audit", "--fail-on", "never"), APART: Command(["sh", "-c", apart], ANY, rounds=1)}


def compiles(program: str, *words: str) -> Callable[[int], AbstractContextManager[Contenders]]:
    @contextmanager
    def prepare(size: int) -> Iterator[Contenders]:
        yield {OURS: tool(*words, codes=ANY), COMPILED: python(PROGRAMS[program])}

    return prepare


CASES = (
    Case(
        "audit",
        4,
        "`audit` on this host",
        audit,
        [
            Mark("CPU", lambda seen: seen.cpu(1, OURS), 0.4, "s", why=AUDIT),
            at_most(OURS, APART, 1.0, why="Each check apart starts Python again: that would be a fault."),
        ],
        rounds=5,
    ),
    Case(
        "skmsg-check",
        5,
        "`skmsg check`",
        compiles("skmsg_check", "skmsg", "check"),
        [at_most(OURS, COMPILED, 1.2, why=SKMSG)],
    ),
    Case("doctor", 5, "`doctor`", compiles("doctor", "doctor"), [at_most(OURS, COMPILED, 1.2, why=DOCTOR)]),
)
