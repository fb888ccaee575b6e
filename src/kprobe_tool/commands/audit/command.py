# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool audit``: all checks, one verdict each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from kprobe_tool.checks import CHECKS, SYSTEMS, Check, Finding
from kprobe_tool.commands.audit.tally import Audited, Verdict
from kprobe_tool.commands.options import output_option
from kprobe_tool.commands.verdicts import exit_code, fail_on_option
from kprobe_tool.errors import ExitCode
from kprobe_tool.probes import host
from kprobe_tool.report.document import Document
from kprobe_tool.report.output import COMMON, Output, Progress, emit

TIMEOUT = 300
"""Seconds for one check. Compiling a BPF program takes a minute on a slow host; most checks take milliseconds."""


def complete_name(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The ids and systems that shell completion offers."""
    return [name for name in (*SYSTEMS, *(check.id for check in CHECKS)) if name.startswith(incomplete)]


def asked(checks: Sequence[Check], timeout: int, *, quiet: bool) -> list[tuple[Check, Finding]]:
    """The findings of the checks, with a line of progress."""
    from kprobe_tool.probes.audit import verdicts

    with Progress(quiet=quiet) as progress:
        numbers = {check.id: number for number, check in enumerate(checks, 1)}
        return list(
            verdicts(checks, timeout, lambda check: progress.say(f"{numbers[check.id]}/{len(checks)} {check.id} ..."))
        )


@click.command(short_help="Run all checks and print one verdict for each.")
@click.option("--list", "listing", is_flag=True, help="Run nothing; show the checks, what they need, and references.")
@click.option(
    "--only",
    metavar="ID|SYSTEM",
    multiple=True,
    shell_complete=complete_name,
    help="Run only this check, or those of this system. May be repeated.",
)
@click.option(
    "--skip",
    metavar="ID|SYSTEM",
    multiple=True,
    shell_complete=complete_name,
    help="Leave this check out, or those of this system. May be repeated.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.IntRange(1, 86400),
    default=TIMEOUT,
    show_default=True,
    help="How long to wait for each check.",
)
@click.option(
    "--waivers", metavar="FILE", type=click.Path(), help="Do not count the findings that this TOML file waives."
)
@click.option(
    "--baseline", metavar="FILE", type=click.Path(), help="Show what has changed since this earlier 'audit -o json'."
)
@click.option("--write", metavar="FILE", type=click.Path(), help="Write to this file, not to standard output.")
@click.option("-v", "--verbose", is_flag=True, help="Show what each check saw.")
@click.option("-q", "--quiet", is_flag=True, help="Show only what counts, without summary, warnings and progress.")
@output_option(*COMMON, Output.PROMETHEUS, Output.NRPE)
@fail_on_option("affected")
def command(
    *,
    listing: bool,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    timeout: int,
    waivers: str | None,
    baseline: str | None,
    write: str | None,
    verbose: bool,
    quiet: bool,
    output: Output,
    fail_on: str,
) -> int:
    """Run all checks and print one verdict for each.

    Verdicts are ok, affected, not-applicable and unknown. No check loads a module or leaves anything behind. Each
    says what it saw; an unknown says what would settle it.
    """
    from kprobe_tool.probes import audit

    checks = audit.select(only, skip)
    if listing:
        if output in {Output.PROMETHEUS, Output.NRPE}:
            raise click.UsageError(f"--list has no verdicts for -o {output.value}")
        emit(listed(checks), output, path=write)
        return ExitCode.OK
    # What is wrong with the files is told before a check takes its time.
    from kprobe_tool.commands.audit import baseline as earlier
    from kprobe_tool.commands.audit import waivers as waiving

    waived = waiving.load(waivers, datetime.now(UTC).date()) if waivers is not None else {}
    before = earlier.load(baseline) if baseline is not None else None
    audited = Audited(
        host.identity(),
        [
            Verdict(check, finding, waived.get(check.id))
            for check, finding in asked(checks, timeout, quiet=quiet or output is Output.NRPE)
        ],
        left_out=[check.id for check in CHECKS if check not in checks],
        root=host.as_root(),
        baseline=before,
    )
    emit(document_of(audited, output, fail_on, verbose=verbose, quiet=quiet), output, path=write, quiet=quiet)
    if output is Output.NRPE:
        from kprobe_tool.commands.audit.monitoring import plugin

        return plugin(audited, fail_on).state
    return exit_code(audited.counted(), fail_on)


def listed(checks: Sequence[Check]) -> Document:
    """The document of ``--list``."""
    from kprobe_tool.commands.check_rows import CHECK_COLUMNS, REFERENCE_COLUMNS, check_row, reference_rows
    from kprobe_tool.report.document import Table

    return Document(
        "audit-list",
        host.identity(),
        [Table(CHECK_COLUMNS, [check_row(check) for check in checks])],
        aside=[Table(REFERENCE_COLUMNS, reference_rows(checks), title="References")],
    )


def document_of(audited: Audited, output: Output, fail_on: str, *, verbose: bool, quiet: bool) -> Document:
    """The document of a run, with what its format shows."""
    if output is Output.PROMETHEUS:
        from kprobe_tool.commands.audit.monitoring import metrics

        return Document("audit", audited.host, [], metrics=metrics(audited), warnings=audited.warnings())
    if output is Output.NRPE:
        from kprobe_tool.commands.audit.monitoring import plugin

        return Document("audit", audited.host, [], plugin=plugin(audited, fail_on), warnings=audited.warnings())
    if output in {Output.TABLE, Output.WIDE}:
        from kprobe_tool.commands.audit.tables import for_people

        return for_people(audited, verbose=verbose, quiet=quiet)
    return audited.document()
