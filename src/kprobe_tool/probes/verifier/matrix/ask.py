# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask several kernels about a file: on each runs a process that asks, in a guest or on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kprobe_tool.errors import Error
from kprobe_tool.lab import guests
from kprobe_tool.lab.boot import HOST
from kprobe_tool.lab.guests import CHANNEL, Event, Guest, GuestPlan

HERE = "here"
"""The running kernel's name among the others."""

Json = dict[str, Any]
Say = Callable[[str], None]
Loader = Callable[[str, int], Sequence[str]]
"""The command that asks about the file of that path and writes its answers to that descriptor: a line of JSON for
the ``host``, each ``program`` and each ``error``, and ``done``."""


@dataclass
class KernelAnswers:
    """What one kernel said. ``release`` is as it calls itself, None where it said nothing."""

    kernel: str
    release: str | None = None
    kvm: bool | None = None
    seconds: float | None = None
    programs: list[Json] = field(default_factory=list)
    errors: list[Json] = field(default_factory=list)
    failure: str | None = None
    done: bool = False

    def take(self, line: str) -> None:
        """A line of the loader's; what is no JSON has been written by something else."""
        try:
            data = json.loads(line)
        except ValueError:
            return
        if not isinstance(data, dict):
            return
        if "host" in data:
            self.release = data["host"]["release"]
        elif "program" in data:
            self.programs.append(data["program"])
        elif "error" in data:
            self.errors.append(data["error"])
        elif "done" in data:
            self.done = True

    def finish(self) -> None:
        """Nothing more comes."""
        if self.failure is None and not self.done:
            last = self.programs[-1]["program"] if self.programs else None
            after = f" after program '{last}'" if last else ""
            self.failure = f"it ended{after} before all programs were answered"


@dataclass(frozen=True)
class MatrixRequest:
    """What is asked of which kernels; ``seconds`` each of them has for it."""

    path: str
    kernels: Sequence[Guest]
    here: bool
    directories: Sequence[str]
    seconds: float


def ask(question: MatrixRequest, loader: Loader, say: Say) -> list[KernelAnswers]:
    """The answers of all kernels, those without any as well. Raises Error where no guest can be booted, and the
    running kernel was not asked either."""
    answers = {guest.name: KernelAnswers(guest.name) for guest in question.kernels}
    found = []
    if question.here:
        say("asking this kernel")
        found.append(ask_here(question, loader))
    if answers:
        try:
            ask_guests(question, loader, answers, say)
        except Error as error:
            if not question.here:
                raise
            for answer in answers.values():
                answer.failure = str(error)
    for answer in answers.values():
        if answer.failure != SAME:
            answer.finish()
            found.append(answer)
    return found


SAME = "the same kernel as another"


def ask_guests(question: MatrixRequest, loader: Loader, answers: dict[str, KernelAnswers], say: Say) -> None:
    plan = GuestPlan(
        tuple(question.kernels),
        # Before Linux v5.11 programs count against a limit.
        ("sh", "-c", 'ulimit -l unlimited; exec "$@"', "sh", *loader(f"{HOST}{question.path}", CHANNEL)),
        tuple(question.directories),
        question.seconds,
    )
    with guests.events(plan) as events:
        for event in events:
            take(event, answers[event["guest"]])
            say(progress(list(answers.values()), event))


def take(event: Event, answer: KernelAnswers) -> None:
    """What happened to one guest."""
    match event["event"]:
        case "boot":
            answer.kvm = event["kvm"]
        case "line":
            answer.take(event["data"].replace(str(HOST), "") if str(HOST) in event["data"] else event["data"])
        case "end":
            answer.seconds = event["seconds"]
        case "same":
            answer.failure = SAME
        case "failed":
            answer.failure = event["reason"]


def progress(answers: Sequence[KernelAnswers], event: Event) -> str:
    """A line of progress about one guest, for whoever waits."""
    over = sum(answer.done or answer.failure is not None for answer in answers)
    doing = {"fetch": "getting it", "boot": "booting", "line": "loading programs"}.get(event["event"], "done")
    return f"{event['guest']}: {doing}; {over} of {len(answers)} kernels done"


def ask_here(question: MatrixRequest, loader: Loader) -> KernelAnswers:
    """The kernel that we run on."""
    answer = KernelAnswers(HERE)
    try:
        lines = guests.lines_here(loader(question.path, 1), question.seconds)
    except Error as error:
        answer.failure = error.reason
        return answer
    for line in lines:
        answer.take(line)
    answer.finish()
    return answer
