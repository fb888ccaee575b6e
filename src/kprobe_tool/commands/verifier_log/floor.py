# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool verifier-log floor``: the oldest kernel that has what a BPF object uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kprobe_tool.commands.options import output_option
from kprobe_tool.errors import ExitCode
from kprobe_tool.lazy import examples
from kprobe_tool.probes import host
from kprobe_tool.report.document import Column, Document, Row, Table
from kprobe_tool.report.output import Output, emit

if TYPE_CHECKING:
    from kprobe_tool.probes.verifier.floor.judge import Floor, Licence, Oldest
    from kprobe_tool.probes.verifier.floor.uses import Use

NAMES_MAX = 5
"""Names that a sentence lists."""
CAVEAT = (
    "This is what mainline releases have. A distribution's kernel may have more than its version tells, and a kernel "
    "that has all of it may still reject a program: 'kprobe-tool verifier-log matrix' tries it."
)


def since_cell(row: Row) -> object:
    if row["since"] is None:
        return "unknown"
    return row["since"] if row["after"] is None else f"{row['since']} or before"


def columns(programs: int) -> tuple[Column, ...]:
    """The columns for an object that has this many programs."""

    def used_by(row: Row) -> object:
        users = row["programs"]
        assert isinstance(users, list)
        return "the object" if not users else "all programs" if len(users) == programs > 1 else ", ".join(users)

    return (
        Column("SINCE", since_cell),
        Column("COMMIT", "commit"),
        Column("NEEDED-TO", "stage"),
        Column("KIND", "kind"),
        Column("NAME", "name"),
        Column("USED-BY", used_by, wrap=True),
    )


def use_row(use: Use) -> Row:
    """The JSON object of one thing that is used."""
    since, commit, after = use.since or (None, None, None)
    return {
        "kind": use.kind,
        "name": use.name,
        "since": since,
        "commit": commit,
        "after": after,
        "stage": use.stage.value,
        "programs": list(use.programs),
    }


def oldest_row(oldest: Oldest) -> Row:
    return {
        "release": oldest.release,
        "exact": oldest.exact,
        "forced_by": [use.name for use in oldest.forced],
        "unknown": [use.name for use in oldest.unknown],
    }


def licence_row(licence: Licence) -> Row:
    return {
        "declared": licence.declared,
        "gpl_compatible": licence.compatible,
        "needs_gpl": [use.name for use in licence.needs_gpl],
    }


def list_names(uses: tuple[Use, ...]) -> str:
    """Some names, and how many more there are."""
    shown = ", ".join(use.name for use in uses[:NAMES_MAX])
    return shown if len(uses) <= NAMES_MAX else f"{shown} and {len(uses) - NAMES_MAX} more"


def summary(found: Floor) -> list[str]:
    """What people read below the table."""
    lines = [f"loads from Linux {found.load.release} on, because of {list_names(found.load.forced)}"]
    if found.attach.release != found.load.release:
        lines.append(f"attaches from Linux {found.attach.release} on, because of {list_names(found.attach.forced)}")
    needing = found.licence.needs_gpl
    if needing:
        lines.append(f"needs a licence compatible with the GPL, because of {list_names(needing)}")
    else:
        lines.append("needs no particular licence")
    return [*lines, CAVEAT]


def warnings(found: Floor) -> list[str]:
    """How the result must be read, where it is not the whole answer."""
    from kprobe_tool.probes.verifier.floor.table import NEWEST

    notes = []
    for use in found.attach.unknown:
        if use.since is None:
            notes.append(
                f"{use.kind} {use.name}: not in the tool's tables, which end with Linux {NEWEST}; the oldest kernel "
                "may be newer than this says"
            )
        else:
            notes.append(
                f"{use.kind} {use.name}: Linux {use.since[0]} has it and {use.since[2]} does not; which release "
                "between them was the first is not known"
            )
    licence = found.licence
    if licence.needs_gpl and not licence.compatible:
        declared = "no licence" if licence.declared is None else f"the licence '{licence.declared}'"
        notes.append(
            f"{declared} is not compatible with the GPL: no kernel loads what uses {list_names(licence.needs_gpl)}"
        )
    return notes


@click.command(
    short_help="Tell the oldest kernel that has what an object uses.",
    epilog=examples("kprobe-tool verifier-log floor x.o", "kprobe-tool verifier-log floor x.o -o json"),
)
@click.argument("path", metavar="FILE", type=click.Path())
@output_option()
def command(*, path: str, output: Output) -> ExitCode:
    """Tell the oldest kernel that has all that the BPF programs of an object use, and which of it no older one has.

    FILE is an ELF object as 'clang -g -O2 -target bpf -c' makes it. It is read, and nothing is loaded: helpers,
    kfuncs, types of programs and maps, ways to attach, instructions, flags, each with the release and the commit.
    """
    from kprobe_tool.probes.verifier.floor import judge

    found = judge.floor(path)
    rows = [use_row(use) for use in found.uses]
    shown = rows if output is not Output.TABLE else [row for row in rows if row["stage"] != "optional"]
    emit(
        Document(
            "verifier-log-floor",
            host.identity(),
            [Table(columns(len(found.programs)), shown)],
            more={
                "object": path,
                "load": oldest_row(found.load),
                "attach": oldest_row(found.attach),
                "licence": licence_row(found.licence),
                "programs": [
                    {
                        "program": each.program.name,
                        "section": each.program.section,
                        "prog_type": each.program.prog_type,
                        "load": oldest_row(each.load),
                        "attach": oldest_row(each.attach),
                    }
                    for each in found.programs
                ],
            },
            summary=summary(found),
            warnings=warnings(found),
        ),
        output,
    )
    return ExitCode.OK
