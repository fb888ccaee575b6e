# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool skmsg check``: do the copy bits of sk_msg elements survive, tried on sockets of the tool's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kprobe_tool.checks import CHECKS, evaluate
from kprobe_tool.commands.options import output_option
from kprobe_tool.commands.verdicts import (
    FINDING_COLUMNS,
    FailOn,
    exit_code,
    fail_on_option,
    finding_row,
    status_colour,
)
from kprobe_tool.errors import ExitCode
from kprobe_tool.probes import host
from kprobe_tool.report.document import Column, Document, Row, Table
from kprobe_tool.report.output import Output, Progress, emit

if TYPE_CHECKING:
    from kprobe_tool.probes.skmsg.experiment import Experiment
    from kprobe_tool.probes.skmsg.judge import Result


def outcome_colour(value: object) -> str | None:
    return "green" if value == "closed" else status_colour(value)


# The results are the evidence.
FINDING_MEMBERS = ("id", "title", "severity", "status", "method", "reason", "settle", "references")
COLUMNS = (
    Column("OUTCOME", "outcome", colour=outcome_colour),
    Column("TEST", "test"),
    Column("SOCKET", "socket"),
    Column("REASON", "reason", wrap=True),
    Column("WHAT IS DONE", "title", wide=True),
    Column("CHECK", "check", wide=True),
)


def result_row(result: Result, done: Experiment) -> Row:
    """The JSON object of one test on one socket."""
    from kprobe_tool.probes.skmsg.judge import evidence_of

    return {
        "test": result.case.name,
        "socket": result.socket.value,
        "outcome": result.outcome.value,
        "reason": result.reason,
        "settle": result.settle,
        "title": result.case.title,
        "check": result.case.check,
        "evidence": evidence_of(result, done),
    }


@click.command(short_help="Check that sk_msg elements keep their copy bits.")
@output_option()
@fail_on_option(FailOn.UNKNOWN)
def command(output: Output, fail_on: FailOn) -> ExitCode:
    """Check that sk_msg elements keep their copy bits when they are split, moved and replaced.

    This is tried with a BPF program on loopback sockets and a file in memory of the tool's own, as root. The program
    records what it could write to, and writes nothing. Nothing is loaded or left behind.
    """
    from kprobe_tool.probes.skmsg.experiment import experiment
    from kprobe_tool.probes.skmsg.judge import controls_row, results, statement

    with Progress() as progress:
        progress.say("compiling and running BPF programs ...")
        done = experiment()
    findings = [(check, evaluate(check)) for check in CHECKS if check.system == "skmsg"]
    rows = [finding_row(check, finding) for check, finding in findings]
    said = statement(done)
    document = Document(
        "skmsg-check",
        host.identity(),
        [Table(COLUMNS, [result_row(result, done) for result in results(done)])],
        more={
            "findings": [{name: row[name] for name in FINDING_MEMBERS} for row in rows],
            "controls": controls_row(done),
            "statement": said,
            "file": {"dev": done.dev, "ino": done.ino},
            "own_netns": done.own_netns,
        },
        aside=[Table(FINDING_COLUMNS, rows, title="Verdicts")],
        summary=[f"by symbol, not tried: {said['text']}"],
    )
    emit(document, output)
    return exit_code(findings, fail_on)
