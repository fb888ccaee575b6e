# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool skmsg check``: do the copy bits of sk_msg elements survive, tried on sockets of the tool's own."""

from __future__ import annotations

import click

from kprobe_tool.checks import CHECKS, evaluate
from kprobe_tool.commands.options import output_option
from kprobe_tool.commands.skmsg.rows import COLUMNS, FINDING_MEMBERS, result_row
from kprobe_tool.commands.verdicts import FINDING_COLUMNS, FailOn, exit_code, fail_on_option, finding_row
from kprobe_tool.errors import ExitCode
from kprobe_tool.probes import host
from kprobe_tool.report.document import Document, Table
from kprobe_tool.report.output import Output, Progress, emit


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
