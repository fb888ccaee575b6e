# SPDX-License-Identifier: GPL-2.0-or-later
"""Running checks so that none of them can take the others with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import groupby

from kprobe_tool.checks import Check, Finding, Status, evaluate
from kprobe_tool.errors import Error
from kprobe_tool.native import bounded


def findings(
    checks: Sequence[Check], seconds: float, begin: Callable[[Check], None]
) -> Iterator[tuple[Check, Finding]]:
    """The finding of each check, in order; ``begin`` is called before the wait for one.

    The checks of a system share a process, and with it what they measure once for all of them. Where one does not
    answer within ``seconds``, or its process dies, it is unknown, and another process goes on with the next.
    """
    for _, group in groupby(checks, key=lambda check: check.system):
        waiting = list(group)
        with closing(bounded.run_each(waiting, evaluate, seconds)) as answers:
            for check in waiting:
                begin(check)
                _, answer = next(answers)
                yield check, finding_of(answer, seconds)


def finding_of(answer: Finding | bounded.Lost, seconds: float) -> Finding:
    if isinstance(answer, Finding):
        return answer
    if isinstance(answer, TimeoutError):
        return Finding(
            Status.UNKNOWN,
            f"no answer within {seconds:g} s, so the check was stopped",
            settle="a longer --timeout, or the kernel log, if the kernel is what hangs",
        )
    if not isinstance(answer, ChildProcessError):
        error = Error.from_os(answer.filename or "memory", answer)
        return Finding(
            Status.UNKNOWN,
            f"this host had no room to run the check: {error}",
            settle="memory and processes to spare (ulimit -v, ulimit -u, pids.max of its control group), and no "
            "seccomp filter that refuses child processes",
        )
    return Finding(
        Status.UNKNOWN,
        f"the check failed: {answer}",
        settle="report it with this line: this is a bug, of kprobe-tool or of the kernel (see the kernel log)",
    )
