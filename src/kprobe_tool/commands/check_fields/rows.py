# SPDX-License-Identifier: GPL-2.0-or-later
"""What was found out, as JSON objects and as the rows and columns that people read."""

from __future__ import annotations

from kprobe_tool.errors import errno_name
from kprobe_tool.probes.extensible_structs import compare
from kprobe_tool.probes.extensible_structs.model import FieldReport, FlagReport, Reachability, Support, SyscallReport
from kprobe_tool.report.document import Column, Row


def colour(value: object) -> str | None:
    return {"yes": "green", "ignored": "yellow", "unknown": "yellow", "blocked": "red"}.get(str(value))


COLUMNS = (
    Column("FIELD", "field"),
    Column("FLAG", "flag"),
    Column("VALUE", "value", wide=True),
    Column("ACCEPTED", "accepted", colour=colour),
    Column("SINCE", "since"),
    Column("IN MASK", "in_mask", colour=colour),
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


REACH = {Reachability.YES: "", Reachability.UNKNOWN: "not known to be reachable, "}


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


def table_rows(report: SyscallReport) -> list[Row]:
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
                # The kernel tells no mask of this field.
                row["in_mask"] = None
            rows.append(row)
    return rows


def heading(report: SyscallReport) -> str:
    """A system call in one line: whether it can be reached, its size, how many calls were made, CHECK_FIELDS."""
    size = "size unknown" if report.size.value is None else f"{report.size.value} bytes"
    witnesses = [
        f"{name}: {number}"
        for name, number in (("BTF", report.size_btf), ("CHECK_FIELDS", report.size_check_fields))
        if number is not None
    ]
    if witnesses:
        size += f" ({', '.join(witnesses)})"
    reach = REACH.get(report.reachable, f"{report.reachable.value}, ")
    calls = "1 call" if report.calls == 1 else f"{report.calls} calls"
    return (
        f"{report.syscall}: {reach}struct {report.struct}, {size}, {calls}, CHECK_FIELDS: {report.check_fields.value}"
    )


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
