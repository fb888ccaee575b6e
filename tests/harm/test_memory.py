# SPDX-License-Identifier: GPL-2.0-or-later
"""Too little memory, in small steps: one line that says so, and never an end by a signal."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import pytest

from . import FULL
from .answers import claims, contradictions
from .invocations import INVOCATIONS, TOOL, Invocation
from .runs import Run, run
from .test_signals import OUR_FRAME

WATCHES = (("skmsg", "watch"), ("verifier-log", "watch"))
SPACE = range(40, 400, 10) if FULL else (60, 250, 270, 290, 320)
DATA = range(6, 80, 2) if FULL else (20, 30, 36, 50, 90)
"""MiB: libbcc with LLVM's libraries takes 230, nearly all of it only address space; compiling takes 30 more."""

INTERPRETER, *MODULE = TOOL
WITHOUT_SITE = (INTERPRETER, "-S", *MODULE)
"""What a machine has Python do at its start takes memory as well, and fails in its own ways."""
PATH = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def run_with(arguments: Sequence[str], limit: str, size: int) -> Run:
    """The tool with so many bytes of address space ("as") or of "data"."""
    return run(arguments, tool=WITHOUT_SITE, prefix=("prlimit", f"--{limit}={size}"), environment=PATH)


def has_begun(done: Run) -> bool:
    """Whether the interpreter had got to the tool: without, it tells of itself alone."""
    return not done.stderr or "kprobe-tool: " in done.stderr or OUR_FRAME.search(done.stderr) is not None


@pytest.mark.parametrize("command", WATCHES, ids=" ".join)
@pytest.mark.parametrize("limit", ["as", "data"])
def test_too_little_memory_for_bcc_is_one_line(command: tuple[str, str], limit: str) -> None:
    """Where LLVM gets no memory it aborts, and dlopen() tells of files that it could not map."""
    wrong = []
    begun = 0
    sizes = SPACE if limit == "as" else DATA
    for size in sizes:
        arguments = [*command, "--duration", "0.1", "-o", "jsonl"]
        done = run_with(arguments, limit, size << 20)
        if not has_begun(done):
            continue
        begun += 1
        lines = done.stderr.splitlines()
        has_reason = bool(lines) and all(line.startswith("kprobe-tool: ") for line in lines)
        if done.code not in {0, 3} or (done.code == 3 and not has_reason) or done.left:
            wrong.append(f"{size} MiB: {done}")
        if done.code == 3 and not done.stdout and "ENOMEM" not in done.stderr and "EPERM" not in done.stderr:
            wrong.append(f"{size} MiB: {done.stderr}")
    assert not wrong, "\n".join(wrong)
    assert begun > len(sizes) // 2


ANSWERED = [each for each in INVOCATIONS if "json" in each.arguments and not each.endless]
LITTLE = range(5632, 24064, 1024) if FULL else (6144, 7600, 9216, 12288)
"""KiB of data: from what Python takes to begin with, to what is enough for all."""


@pytest.mark.parametrize("invocation", ANSWERED if FULL else ANSWERED[:1], ids=str)
def test_too_little_memory_is_one_line_and_no_verdict(invocation: Invocation) -> None:
    undisturbed = run(invocation.arguments)
    wrong = []
    begun = 0
    for size in LITTLE:
        done = run_with(invocation.arguments, "data", size << 10)
        if not has_begun(done):
            continue
        begun += 1
        codes = {3} if not done.stdout.strip() else {3, undisturbed.code}
        unexpected = [line for line in done.stderr.splitlines() if not line.startswith("kprobe-tool: ")]
        claimed = contradictions(claims(undisturbed.stdout), claims(done.stdout))
        if done.code not in codes or unexpected or claimed or done.left:
            wrong.append(f"{size} KiB: {done.code} {done.stderr} {claimed} {done.left}")
    assert not wrong, "\n".join(wrong)
    assert begun > len(LITTLE) // 2
