# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool verifier-log explain``: why a program was rejected, from the log alone."""

from __future__ import annotations

import sys

import click

from kprobe_tool.commands.options import output_option
from kprobe_tool.commands.verifier_picture import diagnosis_rows, picture
from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.probes import host
from kprobe_tool.report.document import Document, Table
from kprobe_tool.report.output import Output, emit


@click.command(short_help="Explain a log of the BPF verifier.")
@click.argument("path", metavar="[FILE]", default="-", type=click.Path(allow_dash=True))
@click.option("--errno", "errno", metavar="NAME", help="The error that the load ended with, such as EACCES or 13.")
@output_option(Output.TABLE, Output.JSON, Output.JSONL)
def command(path: str, errno: str | None, output: Output) -> ExitCode:
    """Explain a log of the BPF verifier: what is wrong, where, how the program got there and what to do.

    FILE is a log of any kernel from 5.x on, at any level, also with what a loader, dmesg or the journal put around
    it; standard input without one.
    """
    from kprobe_tool.probes.verifier.explain import explain_bytes, explain_file

    try:
        diagnosis = explain_bytes(sys.stdin.buffer.read(), errno) if path == "-" else explain_file(path, errno)
    except OSError as error:
        raise Error.from_os(path, error) from error
    people = output is Output.TABLE
    emit(
        Document(
            "verifier-log",
            host.identity(),
            [] if people else [Table((), diagnosis_rows(diagnosis))],
            summary=list(picture(diagnosis)) if people else (),
        ),
        output,
    )
    return ExitCode.OK if diagnosis.recognised else ExitCode.CANNOT_TELL
