# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool verifier-log explain``: why a program was rejected, from the log alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kprobe_tool import files
from kprobe_tool.commands.completion import complete, errno_names
from kprobe_tool.commands.options import OutputFile, output_option
from kprobe_tool.errors import ExitCode
from kprobe_tool.lazy import examples
from kprobe_tool.report.output import COMMON, Output, emit

if TYPE_CHECKING:
    from kprobe_tool.probes.verifier.diagnosis import Diagnosis


def convert_errno(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """``--errno`` as the name of an errno."""
    from kprobe_tool.probes.verifier.log.noise import errno_of

    if value is None:
        return None
    name = errno_of(value)
    if name is None:
        raise click.BadParameter(f"'{value}' is no errno", ctx, param)
    return name


def diagnose_file(path: str, errno: str | None) -> Diagnosis:
    from kprobe_tool.probes.verifier.explaining.explain import explain_fd

    with files.open_input(path) as file:
        return explain_fd(file.fileno(), errno)


@click.command(
    short_help="Explain a log of the BPF verifier.",
    epilog=examples(
        "kprobe-tool verifier-log explain build.log",
        "kprobe-tool verifier-log explain build.log --object x.o",
        "kprobe-tool verifier-log explain /dev/null --errno EPERM",
    ),
)
@click.argument("path", metavar="[FILE]", default="-", type=click.Path(allow_dash=True))
@click.option(
    "--errno",
    "errno",
    metavar="NAME",
    callback=convert_errno,
    shell_complete=complete(errno_names),
    help="The error that the load ended with, such as EACCES or 13.",
)
@click.option("--object", "object_path", metavar="FILE.o", help="Take lines of source from this object file.")
@click.option("--prog", "program", metavar="NAME", help="The program of FILE.o, if the log does not name it.")
@click.option("--redact", is_flag=True, help="Leave out addresses of the kernel.")
@click.option(
    "--html", "html_path", metavar="FILE", type=OutputFile(), help="Also write a page to step through the path."
)
@click.option(
    "--fail-on",
    type=click.Choice(["rejected", "unknown", "never"]),
    default="unknown",
    show_default=True,
    help="Exit 3 where the log does not say; with 'rejected' also 1 for a rejected program; with 'never' always 0.",
)
@output_option(*COMMON, Output.GITHUB, Output.SARIF)
def command(
    *,
    path: str,
    errno: str | None,
    object_path: str | None,
    program: str | None,
    fail_on: str,
    redact: bool,
    html_path: str | None,
    output: Output,
) -> ExitCode:
    """Explain a log of the BPF verifier: what is wrong, where, how the program got there and what to do.

    FILE is a log of any kernel from 5.x on, at any level, also with what a loader, dmesg or the journal put around
    it; standard input without one. Only its end is read, as far as needed.
    """
    from kprobe_tool.commands.verifier_log.picture import diagnosis_rows, picture, source_annotations
    from kprobe_tool.probes import host
    from kprobe_tool.probes.verifier.diagnosis import LogOutcome
    from kprobe_tool.report.document import Document, Table

    diagnosis = diagnose_file(path, errno)
    if object_path is not None:
        from kprobe_tool.probes.verifier.explaining.sources import add_sources

        diagnosis = add_sources(diagnosis, object_path, program)
    if redact:
        from kprobe_tool.probes.verifier.explaining.redact import redact as without_addresses

        diagnosis = without_addresses(diagnosis)
    if html_path is not None:
        from kprobe_tool.commands.verifier_log.html import render_page

        files.replace(html_path, render_page(diagnosis, host.identity()).splitlines(), 0o644)
    people = output.for_people
    emit(
        Document(
            "verifier-log-explain",
            host.identity(),
            [] if people else [Table((), diagnosis_rows(diagnosis))],
            annotations=source_annotations(diagnosis),
            picture=list(picture(diagnosis, whole=output is Output.WIDE)) if people else (),
        ),
        output,
    )
    if fail_on == "never":
        return ExitCode.OK
    if fail_on == "rejected" and diagnosis.outcome is LogOutcome.REJECTED:
        return ExitCode.FOUND
    explained = diagnosis.recognised and diagnosis.outcome is not LogOutcome.UNKNOWN
    return ExitCode.OK if explained else ExitCode.CANNOT_TELL
