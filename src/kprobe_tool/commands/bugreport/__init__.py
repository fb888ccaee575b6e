# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool bugreport``: what somebody elsewhere needs to know of this host, and not who it is."""

from __future__ import annotations

import click

from kprobe_tool.commands.options import output_option
from kprobe_tool.errors import ExitCode
from kprobe_tool.lazy import examples
from kprobe_tool.report.document import Column, Document, Row, Table
from kprobe_tool.report.output import Output, emit

WARNING = "read it before you pass it on: host names, addresses and NQNs are replaced, other names are not"
VERSION_COLUMNS = (Column("OF", "name"), Column("VERSION", "version"))
FINDING_COLUMNS = (
    Column("STATUS", "status"),
    Column("ID", "id"),
    Column("METHOD", "method"),
    Column("REASON", "reason", wrap=True),
)
EVIDENCE_COLUMNS = (Column("ID", "id"), Column("EVIDENCE", "evidence", wrap=True))


@click.command(
    short_help="Collect what a bug report needs, without the names of this host.",
    epilog=examples(
        "kprobe-tool bugreport",
        "kprobe-tool bugreport -o json",
    ),
)
@output_option()
def command(output: Output) -> ExitCode:
    """Collect what a bug report needs in one document on standard output: versions, doctor and all checks.

    Host names, addresses and NVMe qualified names are replaced, the same one by the same word. Read the rest before
    you pass it on. Takes as long as an audit, and does no more to the host.
    """
    emit(collect(output), output)
    return ExitCode.OK


def collect(output: Output) -> Document:
    """Everything, asked now and redacted."""
    from kprobe_tool.checks import CHECKS
    from kprobe_tool.commands.audit.command import TIMEOUT, run_checks
    from kprobe_tool.commands.bugreport.redact import Redactor
    from kprobe_tool.commands.doctor import COMMAND_COLUMNS, ITEM_COLUMNS, command_row
    from kprobe_tool.commands.findings import finding_row
    from kprobe_tool.probes import doctor, host
    from kprobe_tool.probes.versions import versions

    identity = host.identity()
    redact = Redactor(str(identity["hostname"]))
    items = doctor.items()
    by_name = {item.name: item for item in items}
    commands = redact.rows(command_row(doctor.status_of(each, by_name)) for each in doctor.COMMANDS)
    found = redact.rows(item._asdict() for item in items)
    findings = [finding_row(check, finding) for check, finding in run_checks(CHECKS, TIMEOUT, quiet=False)]
    results = redact.rows({name: row[name] for name in REPORTED} for row in findings)
    of = versions()
    anonymous = {**identity, "hostname": redact.text(str(identity["hostname"])), "boot_id": None}
    if not output.for_people:
        more: dict[str, object] = {"versions": of, "commands": commands, "items": found}
        return Document("bugreport", anonymous, [Table((), results)], more=more, warnings=[WARNING])
    evidence: list[Row] = [
        {"id": row["id"], "evidence": {name: value}}
        for row in results
        if isinstance(row["evidence"], dict)
        for name, value in row["evidence"].items()
    ]
    return Document(
        "bugreport",
        anonymous,
        [
            Table(VERSION_COLUMNS, [{"name": name, "version": version} for name, version in of.items()]),
            Table(COMMAND_COLUMNS, commands, title="Commands"),
            Table(ITEM_COLUMNS, found, title="What is there"),
            Table(FINDING_COLUMNS, results, title="Verdicts"),
            Table(EVIDENCE_COLUMNS, evidence, title="Evidence"),
        ],
        warnings=[WARNING],
        heading=f"Linux {identity['release']} {identity['version']} {identity['arch']}  {identity['time']}",
    )


REPORTED = ("id", "severity", "status", "method", "evidence", "reason", "settle")
"""Of a finding what differs between hosts."""
