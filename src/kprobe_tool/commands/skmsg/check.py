# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool skmsg check``: could a BPF program overwrite cached file pages, tried on sockets of our own."""

from __future__ import annotations

import click

from kprobe_tool.checks import CHECKS, evaluate
from kprobe_tool.commands.findings import FINDING_COLUMNS, FailOn, exit_code, fail_on_option, finding_row
from kprobe_tool.commands.options import output_option
from kprobe_tool.commands.skmsg.rows import COLUMNS, FINDING_MEMBERS, result_row
from kprobe_tool.errors import ExitCode
from kprobe_tool.lazy import examples
from kprobe_tool.probes import host
from kprobe_tool.report.document import Document, Table
from kprobe_tool.report.output import Output, Progress, emit

SHARED = (
    "the test connections were made in this network namespace, as no other could be made: "
    "rules here that filter or redirect loopback traffic may change the answer"
)


@click.command(
    short_help="Check this kernel, with sockets and BPF programs of the tool's own.",
    epilog=examples(
        "kprobe-tool skmsg check",
        "kprobe-tool skmsg check -o wide",
        "kprobe-tool skmsg check --fail-on never -o json",
    ),
)
@output_option()
@fail_on_option(FailOn.UNKNOWN)
def command(output: Output, fail_on: FailOn) -> ExitCode:
    """Check whether BPF socket programs could overwrite cached file pages.

    It sends a file in memory of its own over loopback connections of its own, with and without kernel TLS, has a BPF
    program split, move and replace parts of the message, and looks whether the program could then write to the file's
    pages. The program writes nothing. No module is loaded, and nothing is left behind. Needs root.
    """
    from kprobe_tool.probes.skmsg.experiment import run_experiment
    from kprobe_tool.probes.skmsg.judge import controls_row, results, statement

    with Progress() as progress:
        progress.say("compiling and running BPF programs ...")
        experiment = run_experiment()
    findings = [(check, evaluate(check)) for check in CHECKS if check.system == "skmsg"]
    rows = [finding_row(check, finding) for check, finding in findings]
    by_symbol = statement(experiment)
    document = Document(
        "skmsg-check",
        host.identity(),
        [Table(COLUMNS, [result_row(result, experiment) for result in results(experiment)])],
        more={
            "findings": [{name: row[name] for name in FINDING_MEMBERS} for row in rows],
            "controls": controls_row(experiment),
            "statement": by_symbol,
            "file": {"dev": experiment.dev, "ino": experiment.ino},
            "own_netns": experiment.own_netns,
        },
        warnings=[] if experiment.own_netns else [SHARED],
        aside=[Table(FINDING_COLUMNS, rows, title="Verdicts")],
        summary=[f"Not tried, as a fault there corrupts memory: {by_symbol['text']}"],
    )
    emit(document, output)
    return exit_code(findings, fail_on)
