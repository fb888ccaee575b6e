# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows of ``kprobe-tool skmsg``: the JSON objects, and their columns for people."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kprobe_tool.commands.findings import status_colour
from kprobe_tool.errors import errno_name
from kprobe_tool.report.document import Column, Row

if TYPE_CHECKING:
    from kprobe_tool.probes.skmsg.experiment import CopyBitExperiment, Run
    from kprobe_tool.probes.skmsg.judge import Result
    from kprobe_tool.probes.skmsg.watch import Hook, HookEvent

FINDING_MEMBERS = ("id", "title", "severity", "status", "method", "reason", "settle", "references")
"""Of a finding's row; the results are its evidence."""


def outcome_colour(value: object) -> str | None:
    return "green" if value == "closed" else status_colour(value)


COLUMNS = (
    Column("OUTCOME", "outcome", colour=outcome_colour),
    Column("TEST", "test"),
    Column("SOCKET", "socket"),
    Column("REASON", "reason", wrap=True),
    Column("WHAT IS DONE", "title", wide=True),
    Column("CHECK", "check", wide=True),
)

PAGES = ("none", "kernel", "anon", "page-cache")
"""Whose page an element refers to, by enum page_kind of bpf/include/sk_msg.h."""


def result_row(result: Result, experiment: CopyBitExperiment) -> Row:
    """One case on one socket, with what the program was given, record by record."""
    run = result.run
    return {
        "test": result.case.name,
        "socket": result.socket.value,
        "outcome": result.outcome.value,
        "reason": result.reason,
        "settle": result.settle,
        "title": result.case.title,
        "check": result.case.check,
        "evidence": {
            "content_unchanged": None if run is None else run.unchanged,
            "records": [] if run is None else record_rows(run, (experiment.dev, experiment.ino)),
        },
    }


def record_rows(run: Run, file: tuple[int, int]) -> list[Row]:
    """What the program was given at each call and after each step; ``file`` is (dev, ino) of the file."""
    return [
        {
            "call": record.call,
            "after": record.after,
            "errno": errno_name(-record.error) if record.error < 0 else None,
            "size": record.size,
            "length": record.length,
            "page_offset": record.page_offset,
            "start": record.sg.start,
            "curr": record.sg.curr,
            "end": record.sg.end,
            "copy": f"{record.sg.copy:#x}",
            "elements": [
                {
                    "index": element.index,
                    "length": element.length,
                    "offset": element.offset,
                    "page": PAGES[element.kind],
                    "copy": element.copy,
                    "of_file": (element.dev, element.ino) == file,
                }
                for element in record.sg.elements
            ],
        }
        for record in run.records
    ]


def hook_row(hook: Hook) -> Row:
    """Whether one function is watched."""
    return {"function": hook.function, "method": hook.method, "attached": hook.attached, "reason": hook.reason}


def event_row(event: HookEvent) -> Row:
    """One message at one hook."""
    return {
        "time": event.time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "hook": event.hook,
        "pid": event.pid,
        "comm": event.comm,
        "netns": event.netns,
        "saddr": event.saddr,
        "sport": event.sport,
        "daddr": event.daddr,
        "dport": event.dport,
        "start": event.sg.start,
        "curr": event.sg.curr,
        "end": event.sg.end,
        "size": event.sg.size,
        "copy": f"{event.sg.copy:#x}",
        "exposed": event.sg.exposed,
        "elements": [
            {
                "index": element.index,
                "length": element.length,
                "offset": element.offset,
                "copy": element.copy,
                "page": PAGES[element.kind],
                "dev": None if element.dev is None else f"{os.major(element.dev)}:{os.minor(element.dev)}",
                "ino": element.ino,
                "exposed": element.exposed,
            }
            for element in event.sg.elements
        ],
    }
