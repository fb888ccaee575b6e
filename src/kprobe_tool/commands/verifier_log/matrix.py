# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool verifier-log matrix``: what the verifiers of several kernels say about the same programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kprobe_tool import files
from kprobe_tool.commands.options import output_option
from kprobe_tool.commands.verifier_log import matrix_rows
from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.lazy import examples
from kprobe_tool.probes import host
from kprobe_tool.report.document import Document, Table
from kprobe_tool.report.output import Output, Progress, emit, say

if TYPE_CHECKING:
    from kprobe_tool.lab.guests import Guest
    from kprobe_tool.probes.verifier.floor.judge import ProgramFloor
    from kprobe_tool.probes.verifier.matrix.judge import BaselineDifference, Cell, NoAnswer

BASELINE_MAX = 1 << 28
"""Bytes of a file that will be looked at."""


def split_names(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in (value or "").split(",") if part.strip()))


def choose_guests(kernels: tuple[str, ...], directories: tuple[str, ...], *, here: bool) -> tuple[Guest, ...]:
    """The guests to boot: those that are named, or one for each role of the lab where nothing is named."""
    from kprobe_tool.lab.guests import Guest
    from kprobe_tool.lab.roles import ROLES

    names = kernels or (() if directories or here else tuple(role.name for role in ROLES))
    return (*(Guest(name) for name in names), *(Guest(each, os.path.abspath(each)) for each in directories))


def program_floors(path: str) -> Mapping[str, ProgramFloor]:
    """The oldest kernel for each program, by name; empty for a C file, whose needs show only when it is compiled."""
    from kprobe_tool.probes.verifier import load
    from kprobe_tool.probes.verifier.floor import judge

    if not load.is_object(path):
        if not path.endswith((".c", ".h")):
            raise Error(path, "is no ELF object and no C file for bcc")
        return {}
    return {each.program.name: each for each in judge.floor(path).programs}


def check_required(required: tuple[str, ...], names: list[str], found: list[Cell]) -> None:
    """Raises click.UsageError for a required kernel that is not among those asked: its lack would pass unnoticed."""
    for name in required:
        if name not in {*names, *(cell.release for cell in found)}:
            raise click.UsageError(f"--require {name}: the kernels are {', '.join(names)}")


@click.command(
    short_help="Tell which kernels accept a program, and why not.",
    epilog=examples(
        "kprobe-tool verifier-log matrix x.o", "kprobe-tool verifier-log matrix x.o --kernels newest --here"
    ),
)
@click.argument("path", metavar="FILE", type=click.Path())
@click.option(
    "--kernels",
    metavar="NAME,...",
    callback=split_names,
    help="Kernels of the lab, by role or release (all roles without this, --kernel-dir and --here).",
)
@click.option(
    "--kernel-dir", "directories", metavar="DIR", multiple=True, help="A kernel of your own: image and modules."
)
@click.option("--here", is_flag=True, help="Also ask the running kernel.")
@click.option("--prog", "wanted", metavar="NAME", multiple=True, help="Load only this program (repeatable).")
@click.option("--type", "prog_type", metavar="TYPE", help="The type of program, where FILE does not tell.")
@click.option(
    "--require",
    metavar="NAME,...",
    callback=split_names,
    help="Exit with 1 where one of these kernels rejects a program.",
)
@click.option("--baseline", metavar="FILE", help="Tell what changed since this output of -o json.")
@click.option(
    "--timeout",
    "seconds",
    metavar="SECONDS",
    type=click.FloatRange(10),
    default=900,
    show_default=True,
    help="How long a kernel may take, with its boot.",
)
@output_option(Output.TABLE, Output.WIDE, Output.JSON, Output.JSONL, Output.GITHUB, Output.SARIF)
def command(
    *,
    path: str,
    kernels: tuple[str, ...],
    directories: tuple[str, ...],
    here: bool,
    wanted: tuple[str, ...],
    prog_type: str | None,
    require: tuple[str, ...],
    baseline: str | None,
    seconds: float,
    output: Output,
) -> ExitCode:
    """Load the programs of a file on several kernels, and tell for each what its verifier says, and why.

    FILE is an ELF object or a C file for bcc. Each kernel is booted in QEMU and given the programs one by one, as
    'verifier-log load' does it. Nothing is left on this machine but the kernels that were downloaded, and apt's lists
    of packages.
    """
    from kprobe_tool.probes.verifier.matrix import ask, judge

    if prog_type is not None:
        from kprobe_tool.probes.verifier import prog_types

        prog_types.number_of(prog_type)
    earlier = None
    if baseline is not None:
        what = "the output of 'kprobe-tool verifier-log matrix -o json'"
        earlier = files.read_document(baseline, BASELINE_MAX, "verifier-log-matrix", what, judge.earlier_rows)
    source = str(package_directory())
    needs = program_floors(path)
    guests = choose_guests(kernels, directories, here=here)
    names = [*([ask.HERE] if here else []), *(guest.name for guest in guests)]

    def loader(file: str, descriptor: int) -> list[str]:
        worker = "kprobe_tool.commands.verifier_log.matrix_worker"
        return [sys.executable, "-m", worker, str(descriptor), file, prog_type or "", *wanted]

    request = ask.MatrixRequest(os.path.abspath(path), guests, here, (source,), seconds)
    with Progress() as progress:
        answers = ask.ask(request, loader, progress.say)
    found = judge.cells(answers, needs)
    errors = judge.failures(answers)
    check_required(require, names, found)
    if not found and errors:
        for error in errors[1:]:
            say(error)
        raise errors[0]
    changes = judge.changes(found)
    differences = judge.differences(found, earlier) if earlier is not None else []
    rows = [matrix_rows.cell_row(cell, needs.get(cell.program)) for cell in found]
    people = output.for_people
    emit(
        Document(
            "verifier-log-matrix",
            host.identity(),
            [matrix_rows.table(found)] if people else [Table((), rows)],
            errors,
            more={
                "file": path,
                "kernels": [matrix_rows.kernel_row(answer) for answer in answers],
                "changes": [matrix_rows.change_row(change) for change in changes],
                "baseline": None
                if earlier is None
                else {"file": baseline, "differences": [matrix_rows.difference_row(each) for each in differences]},
            },
            aside=matrix_rows.aside_tables(found, differences if earlier is not None else None) if people else (),
            summary=matrix_rows.summary(changes, found) if people else (),
            annotations=matrix_rows.rejection_annotations(found, path),
        ),
        output,
    )
    return exit_code(found, require, differences, errors)


def package_directory() -> Path:
    """The directory that has this program, for guests to run it from. Raises Error where it is one zip file."""
    directory = Path(__file__).resolve().parents[3]
    if not directory.is_dir():
        raise Error("verifier-log matrix", "a guest cannot run kprobe-tool out of one file", hint="install a package")
    return directory


def exit_code(
    found: list[Cell], require: tuple[str, ...], differences: list[BaselineDifference], errors: list[NoAnswer]
) -> ExitCode:
    """FOUND for a rejection that the options ask about, else CANNOT_TELL where a kernel gave no answer, else OK."""
    from kprobe_tool.probes.verifier.matrix import judge

    worse = {"newly-rejected", "more-instructions"}
    if judge.refusals(found, require) or any(each.kind in worse for each in differences):
        return ExitCode.FOUND
    return ExitCode.CANNOT_TELL if errors else ExitCode.OK
