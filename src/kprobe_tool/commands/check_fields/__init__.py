# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool check-fields``: what the kernel understands of its extensible structs."""

from __future__ import annotations

from collections.abc import Sequence

import click

from kprobe_tool import files
from kprobe_tool.commands.options import output_option
from kprobe_tool.errors import Error, ExitCode, errno_name
from kprobe_tool.names import did_you_mean
from kprobe_tool.probes import host
from kprobe_tool.probes.extensible_structs import ask, compare, table
from kprobe_tool.probes.extensible_structs.model import FieldReport, FlagReport, Support, SyscallReport
from kprobe_tool.report.document import Column, Document, Row, Table
from kprobe_tool.report.output import Output, emit

SAVED_MAX = 1 << 24
"""Bytes of a saved document; one of all system calls has 60 KB."""


def colour(value: object) -> str | None:
    return {"yes": "green", "ignored": "yellow", "unknown": "yellow", "blocked": "red"}.get(str(value))


COLUMNS = (
    Column("FIELD", "field"),
    Column("FLAG", "flag"),
    Column("VALUE", "value", wide=True),
    Column("IN MASK", "in_mask", colour=colour),
    Column("ACCEPTED", "accepted", colour=colour),
    Column("SINCE", "since"),
    Column("METHOD", "method", wide=True),
    Column("ERRNO", "errno", wide=True),
    Column("NOTE", "note", wide=True),
)
DIFFERENCES = (
    Column("SYSCALL", "syscall"),
    Column("FIELD", "field"),
    Column("FLAG", "flag"),
    Column("WHAT", "what"),
    Column("HERE", "here"),
    Column("THERE", "there"),
)


def hexadecimal(number: int | None) -> str | None:
    return None if number is None else f"{number:#x}"


def name_of(errno: int | None) -> str | None:
    return None if errno is None else errno_name(errno) if errno else "success"


def flag_row(flag: FlagReport) -> dict[str, object]:
    """The JSON object of one flag."""
    return {
        "name": flag.name,
        "value": hexadecimal(flag.value),
        "in_mask": flag.result.in_mask.value,
        "accepted": flag.result.accepted.value,
        "since": flag.since,
        "method": flag.result.method.value if flag.result.method else None,
        "errno": name_of(flag.result.errno),
        "note": flag.result.note,
    }


def field_row(field: FieldReport) -> dict[str, object]:
    """The JSON object of one field, flags inside."""
    return {
        "name": field.name,
        "offset": field.offset,
        "size": field.size,
        "since": field.since,
        "present": field.present.value,
        "mask": hexadecimal(field.mask),
        "mask_method": field.mask_method.value if field.mask_method else None,
        "note": field.note,
        "flags": [flag_row(flag) for flag in field.flags],
    }


def syscall_row(report: SyscallReport) -> Row:
    """The JSON object of one system call, fields inside."""
    return {
        "syscall": report.syscall,
        "struct": report.struct,
        "since": report.since,
        "reachable": report.reachable.value,
        "reachable_errno": name_of(report.reachable_errno),
        "check_fields": report.check_fields.value,
        "check_fields_errno": name_of(report.check_fields_errno),
        "size": report.size.value,
        "size_method": report.size.method.value if report.size.method else None,
        "size_check_fields": report.size_check_fields,
        "size_btf": report.size_btf,
        "sizes_agree": report.sizes_agree,
        "calls": report.calls,
        "reasons": list(report.reasons),
        "fields": [field_row(field) for field in report.fields],
    }


def lines(report: SyscallReport) -> list[Row]:
    """One row for each field, then one for each of its flags: what people read."""
    rows: list[Row] = []
    for field in report.fields:
        rows.append(
            {
                "field": field.name,
                "flag": hexadecimal(field.mask),
                "accepted": field.present.value,
                "since": field.since,
                "method": field.mask_method.value if field.mask_method else None,
                "note": field.note,
            }
        )
        for flag in field.flags:
            row = {"field": field.name, **flag_row(flag), "flag": flag.name}
            if flag.result.in_mask is Support.UNKNOWN:
                # There is no mask to be in.
                row["in_mask"] = None
            rows.append(row)
    return rows


def heading(report: SyscallReport) -> str:
    """A system call in one line."""
    size = "size unknown" if report.size.value is None else f"{report.size.value} bytes"
    witnesses = [
        f"{name}: {number}"
        for name, number in (("CHECK_FIELDS", report.size_check_fields), ("BTF", report.size_btf))
        if number is not None
    ]
    if witnesses:
        size += f" ({', '.join(witnesses)})"
    reachable = {"yes": "reachable", "unknown": "not known to be reachable"}.get(
        report.reachable.value, report.reachable.value
    )
    return (
        f"{report.syscall}: {reachable}, CHECK_FIELDS: {report.check_fields.value}, "
        f"struct {report.struct}: {size}, {report.calls} calls"
    )


def complete_syscalls(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in table.NAMES if name.startswith(incomplete)]


def chosen(syscalls: Sequence[str], every: bool) -> list[str]:
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

    def parse(document: object) -> compare.Facts:
        return compare.facts(compare.member(document, "results", list))

    what = "the output of 'kprobe-tool check-fields -o json'"
    return files.read_document(path, SAVED_MAX, "check-fields", what, parse)


@click.command()
@click.argument("syscalls", metavar="[SYSCALL]...", nargs=-1, shell_complete=complete_syscalls)
@click.option("--all", "every", is_flag=True, help="Ask all system calls that are known here.")
@click.option(
    "--require",
    metavar="NAME,...",
    help="Exit 0 if the kernel takes all these flags (FLAG or FIELD.FLAG) and has these fields, 1 if not, 3 if "
    "that could not be told.",
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

    Asks CHECK_FIELDS first, and then for each flag with a call that must fail for other reasons. IN MASK is what the
    kernel says, ACCEPTED what it does: yes, no, ignored, unknown. No process, file or mount comes of it.
    """
    names = chosen(syscalls, every)
    if require is not None and (len(names) != 1 or diff is not None):
        raise click.UsageError("--require takes one system call, and no --diff")
    there = None if diff is None else load(diff)
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
    if there is None:
        tables = [Table(COLUMNS, lines(report), title=heading(report)) for report in reports]
        summary.append(f"feature level: {level}")
        errors: list[Error] = []
        code = ExitCode.OK
    else:
        told = {key[0] for key in there}
        errors = [Error(str(diff), f"no answer for {name}") for name in names if name not in told]
        here = compare.facts([row for row in rows if row["syscall"] in told])
        differences = compare.differences(here, {key: value for key, value in there.items() if key[0] in names})
        different = [difference_row(one) for one in differences]
        more["diff"] = {"file": diff, "differences": different}
        tables = [Table(DIFFERENCES, different, empty="no difference")]
        code = diff_exit(differences, errors)
    if output in {Output.JSON, Output.JSONL}:
        tables = [Table((), rows)]
    emit(Document("check-fields", identity, tables, errors=errors, more=more, summary=summary), output)
    return code


def difference_row(one: compare.Difference) -> Row:
    """The JSON object of one difference."""
    return {
        "syscall": one.syscall,
        "field": one.field,
        "flag": one.flag,
        "what": one.what,
        "here": one.here,
        "there": one.there,
    }


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
            hint = did_you_mean(name, [known for known in compare.names(report) if "." not in known])
            raise Error(f"{report.syscall}: flag or field '{name}'", "not known here", hint=hint or None) from None
    result = compare.overall(required)
    if output in {Output.JSON, Output.JSONL}:
        more = {
            "require": {
                "result": result.value,
                "names": [{"name": one.name, "accepted": one.taken.value, "reason": one.reason} for one in required],
            }
        }
        emit(Document("check-fields", host.identity(), [Table((), [syscall_row(report)])], more=more), output)
    else:
        why = "; ".join(said(one, result) for one in required if one.taken is not Support.YES)
        click.echo(f"{result.value}: {why}" if why else result.value)
    return {Support.YES: ExitCode.OK, Support.NO: ExitCode.FOUND}.get(result, ExitCode.CANNOT_TELL)


def said(one: compare.Required, result: Support) -> str:
    """What became of one required name, as far as the result does not say it."""
    taken = "" if one.taken is result else f" {one.taken.value}"
    return f"{one.name}{taken}" + (f" ({one.reason})" if one.reason else "")
