# SPDX-License-Identifier: GPL-2.0-or-later
"""The questions about every system call to a real kernel, and its answers.

    python -m tests.unit.probes.extensible_structs.recorded > tests/unit/data/extensible-structs/RELEASE.json

records the kernel that runs, as root and without a seccomp filter. Memory is kept as a digest where the tool passed
it, and in full where the kernel wrote into it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

from kprobe_tool.native.prober import Call, CallAnswer, Memory, Prober
from kprobe_tool.probes.extensible_structs import ask, table
from kprobe_tool.probes.extensible_structs.model import SyscallReport

from .fake import FakeProber

Row = dict[str, Any]


def contents(memory: Memory) -> list[bytes]:
    return [memory.data, *(data for _, data in memory.pointers)]


def memory_of(call: Call) -> list[bytes]:
    """All memory that a call passes, in the order in which an answer has it."""
    memories = [arg for arg in call.args if isinstance(arg, Memory)]
    return [each.data for each in memories] + [data for each in memories for _, data in each.pointers]


def digest(call: Call) -> Row:
    """A call as data, in which the own pid is a word: it is another one each time."""
    pid = os.getpid() if call.name == "pidfd_open" else None
    args: list[object] = []
    for arg in call.args:
        if isinstance(arg, int):
            args.append("own pid" if arg == pid else arg)
        else:
            content = hashlib.sha256(b"|".join(contents(arg))).hexdigest()[:16]
            args.append([content, len(arg.data), *(offset for offset, _ in arg.pointers)])
    return {"call": call.name, "args": args, "forks": call.forks, "opens": call.opens}


def answer_row(call: Call, answer: CallAnswer) -> Row:
    """An answer as data; None for memory that is as it was passed."""
    memory = [
        None if after == before else after.rstrip(b"\0").hex()
        for before, after in zip(memory_of(call), answer.memory, strict=True)
    ]
    return {"errno": answer.errno, "value": answer.value, "memory": memory, "signal": answer.signal}


def answer_of(call: Call, row: Row) -> CallAnswer:
    memory = tuple(
        before if after is None else bytes.fromhex(after).ljust(len(before), b"\0")
        for before, after in zip(memory_of(call), row["memory"], strict=True)
    )
    return CallAnswer(row["errno"], row["value"], memory, row["signal"])


def report_row(report: SyscallReport) -> Row:
    """A report as data that JSON can have."""
    row: Row = json.loads(json.dumps(with_names(report)))
    return row


def with_names(value: object) -> object:
    """A record, and what it is made of, as a mapping of its fields."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: with_names(each) for name, each in value._asdict().items()}
    return [with_names(each) for each in value] if isinstance(value, list | tuple) else value


class Recorder(Prober):
    """A prober that asks the kernel, and keeps its calls and answers as rows."""

    def __init__(self) -> None:
        super().__init__(time.monotonic() + ask.TIME_LIMIT)
        self.rows: list[Row] = []

    def ask(self, call: Call) -> CallAnswer:
        answer = super().ask(call)
        self.rows.append(digest(call) | answer_row(call, answer))
        return answer


class Replayer(FakeProber):
    """A prober that answers as the kernel did; a call that the kernel was not asked is an error."""

    def __init__(self, rows: Iterable[Row]) -> None:
        super().__init__(self.answer)
        self.rows = list(rows)

    def answer(self, call: Call) -> CallAnswer:
        row = self.rows.pop(0)
        assert digest(call) == {name: row[name] for name in ("call", "args", "forks", "opens")}
        return answer_of(call, row)


def record() -> Row:
    found: Row = {}
    for name in table.NAMES:
        recorder = Recorder()
        with recorder:
            report = ask.Inquiry(table.entry(name), recorder, False, None, exhaustive=False).report()
            # Asked behind a seccomp filter only.
            recorder.ask(table.entry(name).recipe.second_call())
        found[name] = {"calls": recorder.rows, "report": report_row(report)}
    return found


if __name__ == "__main__":
    json.dump(record(), sys.stdout, separators=(",", ":"))
    sys.stdout.write("\n")
