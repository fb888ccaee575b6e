# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool check-fields``: what the kernel understands of its extensible structs."""

from __future__ import annotations

from collections.abc import Sequence

import click

from kprobe_tool import files
from kprobe_tool.commands.check_fields.rows import (
    COLUMNS,
    DIFFERENCES,
    difference_row,
    heading,
    syscall_row,
    table_rows,
)
from kprobe_tool.commands.completion import complete, flags_and_fields
from kprobe_tool.commands.options import output_option
from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.lazy import examples
from kprobe_tool.names import did_you_mean
from kprobe_tool.probes import host
from kprobe_tool.probes.extensible_structs import ask, compare, table
from kprobe_tool.probes.extensible_structs.model import Support, SyscallReport
from kprobe_tool.report.document import Document, Table
from kprobe_tool.report.output import Output, emit

SAVED_MAX = 1 << 24
"""Bytes of a saved document; one of all system calls has 60 KB."""


def choose_syscalls(syscalls: Sequence[str], every: bool) -> list[str]:
    """The system calls to ask, each once."""
    if every:
        if syscalls:
            raise click.UsageError("either system calls or --all")
        return list(table.NAMES)
    if not syscalls:
        raise click.UsageError(f"which system call? {', '.join(table.NAMES)}, or --all")
    for name in syscalls:
        if name not in table.NAMES:
            hint = did_you_mean(name, list(table.NAMES)) or f"known are {', '.join(table.NAMES)}"
            raise Error(f"system call '{name}'", "not known here", hint=hint)
    return list(dict.fromkeys(syscalls))


def load(path: str) -> compare.Facts:
    """The answers in a document that ``-o json`` wrote. Raises Error."""

    def parse(document: dict[str, object]) -> compare.Facts:
        return compare.facts(document.get("results"))

    what = "the output of 'kprobe-tool check-fields -o json'"
    return files.read_document(path, SAVED_MAX, "check-fields", what, parse)


@click.command(
    short_help="Show what extensible-struct system calls understand.",
    epilog=examples(
        "kprobe-tool check-fields openat2",
        "kprobe-tool check-fields openat2 --require RESOLVE_BENEATH",
        "kprobe-tool check-fields --all -o json",
    ),
)
@click.argument("syscalls", metavar="[SYSCALL]...", nargs=-1, shell_complete=complete(lambda ctx: table.NAMES))
@click.option("--all", "every", is_flag=True, help="Ask all system calls that are known here.")
@click.option(
    "--require",
    metavar="NAME,...",
    shell_complete=complete(flags_and_fields, several=True),
    help="Only say whether the kernel takes all these flags (FLAG or FIELD.FLAG) and has these fields: exit 0 if "
    "so, 1 if not, 3 if that could not be told.",
)
@click.option(
    "--diff",
    metavar="FILE",
    help="Compare with an answer saved with -o json ('-' is stdin); exit 1 where they differ.",
)
@click.option("--exhaustive", is_flag=True, help="Try every bit of every mask, not only those with a name.")
@output_option()
def command(
    *, syscalls: tuple[str, ...], every: bool, require: str | None, diff: str | None, exhaustive: bool, output: Output
) -> ExitCode:
    """Show what extensible-struct system calls understand.

    Says which fields and flags this kernel takes, and since which release. ACCEPTED is what it does with a flag: yes,
    no, ignored, unknown. Each is tried with a call that must fail for another reason: no process, file or mount comes
    of it. IN MASK is what the kernel says of itself, where it does.
    """
    names = choose_syscalls(syscalls, every)
    if require is not None and (len(names) != 1 or diff is not None):
        raise click.UsageError("--require takes one system call, and no --diff")
    saved = None if diff is None else load(diff)
    reports = [ask.ask(table.entry(name), exhaustive=exhaustive) for name in names]
    if require is not None:
        return answer_require(reports[0], require, output)
    identity = host.identity()
    level = compare.level(reports, str(identity["release"]))
    more: dict[str, object] = {
        "feature_level": {
            "release": level.release,
            "level": level.level,
            "beyond": list(level.beyond),
            "missing": list(level.missing),
            "summary": str(level),
        }
    }
    summary = [f"{report.syscall}: {reason}" for report in reports for reason in report.reasons]
    rows = [syscall_row(report) for report in reports]
    if saved is None:
        tables = [
            Table(COLUMNS, table_rows(report), title=heading(report), empty="only its size can be asked")
            for report in reports
        ]
        summary.append(str(level))
        errors: list[Error] = []
        code = ExitCode.OK
    else:
        answered = {key[0] for key in saved}
        errors = [Error(str(diff), f"no answer for {name}") for name in names if name not in answered]
        answers = compare.facts([row for row in rows if row["syscall"] in answered])
        differences = compare.differences(answers, {key: value for key, value in saved.items() if key[0] in names})
        different = [difference_row(one) for one in differences]
        more["diff"] = {"file": diff, "differences": different}
        tables = [Table(DIFFERENCES, different, empty="no difference")]
        code = diff_exit(differences, errors)
    if output in {Output.JSON, Output.JSONL}:
        tables = [Table((), rows)]
    emit(Document("check-fields", identity, tables, errors=errors, more=more, summary=summary), output)
    return code


def diff_exit(differences: Sequence[compare.Difference], errors: Sequence[Error]) -> ExitCode:
    """1 where two answers differ, 3 where one of them is unknown or missing, 0 where all are the same."""
    if any(one.settled for one in differences):
        return ExitCode.FOUND
    return ExitCode.CANNOT_TELL if differences or errors else ExitCode.OK


def answer_require(report: SyscallReport, names: str, output: Output) -> ExitCode:
    """``--require``: the result, and nothing else."""
    wanted = [name for name in dict.fromkeys(names.replace(" ", "").split(",")) if name]
    if not wanted:
        raise click.UsageError("--require: which flag?")
    required = []
    for name in wanted:
        try:
            required.append(compare.require(report, name))
        except KeyError:
            hint = did_you_mean(name, [each for each in compare.names(report) if "." not in each])
            raise Error(f"{report.syscall}: flag or field '{name}'", "not known here", hint=hint or None) from None
    result = compare.combined_result(required)
    if output in {Output.JSON, Output.JSONL}:
        more = {
            "require": {
                "verdict": result.value,
                "names": [
                    {"name": one.name, "accepted": one.support.value, "reason": one.reason} for one in required
                ],
            }
        }
        emit(Document("check-fields", host.identity(), [Table((), [syscall_row(report)])], more=more), output)
    else:
        why = "; ".join(describe_required(one, result) for one in required if one.support is not Support.YES)
        click.echo(f"{result.value}: {why}" if why else result.value)
    return {Support.YES: ExitCode.OK, Support.NO: ExitCode.FOUND}.get(result, ExitCode.CANNOT_TELL)


def describe_required(one: compare.Required, result: Support) -> str:
    """One required name; its own answer where that is not the ``result`` of all; the reason if there is one."""
    support = "" if one.support is result else f" {one.support.value}"
    return f"{one.name}{support}" + (f" ({one.reason})" if one.reason else "")
