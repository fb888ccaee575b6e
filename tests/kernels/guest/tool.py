# SPDX-License-Identifier: GPL-2.0-or-later
"""kprobe-tool in the guest, run in this process: starting Python is what takes time here."""

import contextlib
import io
import json
import os
import sys
from dataclasses import dataclass
from typing import Any

from kprobe_tool import cli

from .conftest import NOBODY

ARGV = [sys.executable, "-m", "kprobe_tool"]
"""The command line of a process of its own, for the tests that need one."""


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def tool(*args: str) -> Answer:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run(list(args))
    return Answer(code, out.getvalue(), err.getvalue())


def as_nobody(*args: str) -> Answer:
    """Run the tool as nobody, in a child of this process: starting Python anew takes seconds here."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            answer = tool(*args)
            with os.fdopen(writing, "w") as file:
                json.dump([answer.code, answer.out, answer.err], file)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        answer = Answer(*json.load(file))
    os.waitpid(pid, 0)
    return answer
