# SPDX-License-Identifier: GPL-2.0-or-later
"""kprobe-tool in the guest without starting Python, which is what takes time here: in this process, or in a fork."""

import contextlib
import functools
import io
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from kprobe_tool import __main__, cli

from ...nobody import become_nobody

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


def forked(prepare: Callable[[], None], *args: str) -> Answer:
    """Run the tool in a child of this process, after ``prepare``, knowing nothing that this process has found out."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            forget()
            prepare()
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


def forget() -> None:
    """Clear the caches of the tool's modules."""
    for name, module in list(sys.modules.items()):
        if name.startswith("kprobe_tool."):
            for value in vars(module).values():
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()


def as_nobody(*args: str) -> Answer:
    return forked(become_nobody, *args)


def injected(inject: str, *args: str) -> Answer:
    """Run the tool in a child in which strace does to system calls what its -e inject=... says."""
    return forked(functools.partial(attach_strace, inject), *args)


def attach_strace(inject: str) -> None:
    calls = inject.partition(":")[0]
    argv = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={calls}", "-e", f"inject={inject}"]
    # In the background of a shell, so that it is no child of the process that it looks at.
    subprocess.run(["sh", "-c", '"$@" &', "sh", *argv, "-p", str(os.getpid())], check=True)
    end = time.monotonic() + 60
    while "\nTracerPid:\t0\n" in Path("/proc/self/status").read_text():
        if time.monotonic() > end:
            raise TimeoutError("strace does not attach")
        time.sleep(0.01)


def start(*args: str) -> BaseProcess:
    """Start the tool in a process that can be killed; what it prints is lost."""
    process = multiprocessing.get_context("fork").Process(target=become_tool, args=args)
    process.start()
    return process


def become_tool(*args: str) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    sys.argv[1:] = args
    forget()
    # Those of the test runner would keep what is written for its report.
    with open(1, "w", closefd=False) as sys.stdout, open(2, "w", closefd=False) as sys.stderr:
        __main__.main()
