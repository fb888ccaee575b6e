"""Running kprobe-tool in the guest: in this process, since starting Python is what takes time here."""

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from typing import Any

from kprobe_tool import cli

ARGV = [sys.executable, "-m", "kprobe_tool"]
"""For the tests that need a process of its own."""


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
