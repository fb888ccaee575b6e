# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool schema``: the JSON Schemas that are shipped with the tool."""

from __future__ import annotations

import click

from kprobe_tool.commands.completion import complete
from kprobe_tool.commands.options import output_option
from kprobe_tool.errors import ExitCode
from kprobe_tool.lazy import examples
from kprobe_tool.probes import host, schemas
from kprobe_tool.report.document import Column, Document, Table
from kprobe_tool.report.output import Output, emit

COLUMNS = (Column("DOCUMENT", "name"), Column("ID", "id", wide=True), Column("WHAT IT IS", "title", wrap=True))


@click.command(
    short_help="Print the JSON Schema of a document, or list them.",
    epilog=examples(
        "kprobe-tool schema",
        "kprobe-tool schema audit",
    ),
)
@click.argument("document", required=False, shell_complete=complete(lambda ctx: schemas.names()))
@output_option()
@click.pass_context
def command(ctx: click.Context, *, document: str | None, output: Output) -> ExitCode:
    """Print the JSON Schema of DOCUMENT, or without one, list the documents that have one.

    A schema is exact for this version of the tool: it refuses members that the tool does not write.
    """
    if document is None:
        emit(Document("schema", host.identity(), [Table(COLUMNS, schemas.rows())]), output)
    elif ctx.get_parameter_source("output") is not click.core.ParameterSource.DEFAULT:
        raise click.UsageError("-o is for the list: a schema is JSON")
    else:
        click.echo(schemas.text(document), nl=False)
    return ExitCode.OK
