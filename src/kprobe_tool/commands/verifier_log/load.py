# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool verifier-log load``: what this kernel's verifier says about a program."""

from __future__ import annotations

import errno as errnos
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from kprobe_tool.commands.completion import complete, prog_type_names
from kprobe_tool.commands.options import OutputFile, output_option
from kprobe_tool.commands.verifier_log.picture import diagnosis_rows, picture
from kprobe_tool.commands.verifier_log.rows import stats_line, stats_row
from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.lazy import examples
from kprobe_tool.probes import host
from kprobe_tool.report.document import Document, Row, Span, Table
from kprobe_tool.report.output import Output, Progress, emit
from kprobe_tool.report.text import quantity

if TYPE_CHECKING:
    from kprobe_tool.probes.verifier.load import LoadResult


def load_row(result: LoadResult) -> Row:
    """The JSON object of one program."""
    from kprobe_tool.probes.verifier import prog_types

    return {
        "program": result.request.name,
        "section": result.request.section,
        "prog_type": prog_types.name_of(result.request.prog_type),
        "insn_count": result.request.insn_count,
        "outcome": "accepted" if result.accepted else "rejected",
        "errno": result.errno,
        "log_size": len(result.log),
        "log_complete": result.complete,
        "stats": stats_row(result.stats),
        "diagnoses": [] if result.diagnosis is None else diagnosis_rows(result.diagnosis),
        "messages": list(result.messages),
    }


def load_picture(result: LoadResult) -> Iterator[list[Span]]:
    """What people read about one program: a line if it was accepted, else its diagnosis."""
    request = result.request
    if result.diagnosis is None:
        figures = stats_line(result.stats)
        yield [Span(f"{request.name}: "), Span("accepted", "green"), Span(f": {figures}" if figures else "")]
        return
    yield [
        Span(f"{request.name}: "),
        Span("rejected", "red"),
        Span(f" ({result.errno}), {quantity(request.insn_count, 'instruction')}"),
    ]
    yield from picture(result.diagnosis)


def load_programs(
    path: str, wanted: tuple[str, ...], prog_type: str | None, level: int, *, raw: bool, licence: str
) -> Iterator[LoadResult | Error]:
    """Each program of a file, or why it could not be loaded. Raises Error."""
    from kprobe_tool.probes.verifier import load, prog_types

    number = None if prog_type is None else prog_types.number_of(prog_type)
    if raw:
        if number is None:
            raise click.UsageError("--raw instructions have no section that tells a type; give it with --type")
        yield load.load_instructions(path, number, level, licence)
    elif load.is_object(path):
        yield from load.load_object(path, wanted, number, level)
    elif path.endswith((".c", ".h")):
        yield from load.load_source(path, wanted, number, level)
    else:
        raise Error(
            path, "is no ELF object and no C file", hint="instructions as bytes or hexadecimal need --raw and --type"
        )


@click.command(
    short_help="Load a program to see what the verifier says.",
    epilog=examples(
        "kprobe-tool verifier-log load x.o",
        "kprobe-tool verifier-log load x.o --level 2 --log x.log",
    ),
)
@click.argument("path", metavar="FILE", type=click.Path())
@click.option("--prog", "wanted", metavar="NAME", multiple=True, help="Load only this program (repeatable).")
@click.option(
    "--type",
    "prog_type",
    metavar="TYPE",
    shell_complete=complete(prog_type_names),
    help="The type of program, where FILE does not tell, such as xdp.",
)
@click.option(
    "--level",
    type=click.Choice(["0", "1", "2"]),
    default="1",
    show_default=True,
    help="The level of the log: none, the way to the rejection, everything.",
)
@click.option("--raw", is_flag=True, help="FILE holds instructions, as bytes or as hexadecimal text.")
@click.option("--license", "licence", metavar="TEXT", default="GPL", show_default=True, help="For --raw.")
@click.option("--log", "save", metavar="FILE", type=OutputFile(), help="Write the log of the (last) program there.")
@output_option()
def command(
    *,
    path: str,
    wanted: tuple[str, ...],
    prog_type: str | None,
    level: str,
    raw: bool,
    licence: str,
    save: str | None,
    output: Output,
) -> ExitCode:
    """Load programs, see what this kernel's verifier says, and close them again: nothing is attached or pinned.

    FILE is an ELF object (loaded with libbpf), a C file for bcc, or instructions (--raw). Each program is loaded
    alone. Exits with 1 where one is rejected, with 2 where one could not be loaded at all.
    """
    rows: list[Row] = []
    pictures: list[list[Span]] = []
    errors: list[Error] = []
    rejected = gap = False
    with Progress() as progress:
        progress.say(f"loading {path}")
        for result in load_programs(path, wanted, prog_type, int(level), raw=raw, licence=licence):
            if isinstance(result, Error):
                errors.append(result)
                continue
            rejected |= not result.accepted
            if gap and rows:
                pictures.append([])
            gap = not result.accepted
            rows.append(load_row(result))
            pictures += load_picture(result)
            progress.say(f"loading {path}: {quantity(len(rows), 'program')} verified")
            if save is not None:
                write_log(save, result.log)
    if not rows:
        raise errors[0]
    people = output.for_people
    emit(
        Document(
            "verifier-log-load",
            host.identity(),
            [] if people else [Table((), rows)],
            errors,
            picture=pictures if people else (),
        ),
        output,
    )
    if errors:
        return max(error.exit_code for error in errors)
    return ExitCode.FOUND if rejected else ExitCode.OK


def write_log(path: str, log: bytes) -> None:
    """Write a log to a file. Raises Error, also for a symbolic link: who made it would choose what root "
    "overwrites."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with open(descriptor, "wb") as file:
            file.write(log)
    except OSError as error:
        hint = "a symbolic link is not followed" if error.errno == errnos.ELOOP else None
        raise Error.from_os(path, error, hint=hint) from error
