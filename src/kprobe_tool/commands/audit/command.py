# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool audit``: all checks, one verdict each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from kprobe_tool.checks import CHECKS, Check, Finding
from kprobe_tool.commands.audit.run import AuditedCheck, AuditRun
from kprobe_tool.commands.completion import check_names, complete
from kprobe_tool.commands.findings import FailOn, fail_on_option
from kprobe_tool.commands.options import OutputFile, output_option
from kprobe_tool.errors import ExitCode
from kprobe_tool.lazy import examples
from kprobe_tool.probes import host
from kprobe_tool.report.document import Document
from kprobe_tool.report.output import COMMON, Output, Progress, emit

TIMEOUT = 300
"""Seconds for one check. Compiling a BPF program takes a minute on a slow host; most checks take milliseconds."""


def run_checks(checks: Sequence[Check], timeout: int, *, quiet: bool) -> list[tuple[Check, Finding]]:
    """The findings of the checks, with a line of progress."""
    from kprobe_tool.probes.audit import findings

    with Progress(quiet=quiet) as progress:
        numbers = {check.id: number for number, check in enumerate(checks, 1)}
        return list(
            findings(checks, timeout, lambda check: progress.say(f"{numbers[check.id]}/{len(checks)} {check.id} ..."))
        )


@click.command(
    short_help="Run all checks and print one verdict for each.",
    epilog=examples(
        "kprobe-tool audit",
        "kprobe-tool audit --only rds,nvme --fail-on high",
        "kprobe-tool audit -q --baseline last.json --fail-on changed",
    ),
)
@click.option("--list", "listing", is_flag=True, help="Run nothing; show the checks, what they need, and references.")
@click.option("--all", "everything", is_flag=True, help="Run every check, and show the verdict of each.")
@click.option(
    "--only",
    metavar="NAME,...",
    multiple=True,
    shell_complete=complete(check_names, several=True),
    help="Run only these checks: ids, systems, CVE numbers. May be repeated.",
)
@click.option(
    "--skip",
    metavar="NAME,...",
    multiple=True,
    shell_complete=complete(check_names, several=True),
    help="Leave these checks out: ids, systems, CVE numbers. May be repeated.",
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
@click.option("--write", metavar="FILE", type=OutputFile(), help="Write to this file, not to standard output.")
@click.option("--evidence", is_flag=True, help="Show what each check saw.")
@click.option("-q", "--quiet", is_flag=True, help="Show only what counts, without summary, warnings and progress.")
@output_option(*COMMON, Output.PROMETHEUS, Output.NRPE, Output.LINE)
@fail_on_option(
    None,
    FailOn.CHANGED,
    text="Exit 1 where a check of this severity or more is affected (default: medium); with 'unknown' 3 where one "
    "could not tell (default of -o nrpe); with 'changed' 1 where a verdict is not that of --baseline.",
)
def command(
    *,
    listing: bool,
    everything: bool,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    timeout: int,
    waivers: str | None,
    baseline: str | None,
    write: str | None,
    evidence: bool,
    quiet: bool,
    output: Output,
    fail_on: FailOn | None,
) -> int:
    """Run all checks and print one verdict for each.

    Verdicts are ok, affected, not-applicable and unknown. No check loads a module or leaves anything behind. Each
    says what it saw; an unknown says what would settle it.
    """
    from kprobe_tool.probes.selection import select

    checks = select(only, skip, everything=everything or listing)
    if listing:
        if not output.for_people and output not in COMMON:
            raise click.UsageError(f"--list has no verdicts for -o {output.value}")
        emit(list_document(checks), output, path=write)
        return ExitCode.OK
    if fail_on is FailOn.CHANGED and baseline is None:
        raise click.UsageError("--fail-on changed goes with --baseline")
    # What is wrong with the files is said before a check takes its time.
    from kprobe_tool.commands.audit.baseline import load as load_baseline
    from kprobe_tool.commands.audit.waivers import load as load_waivers

    waived = load_waivers(waivers) if waivers is not None else {}
    before = load_baseline(baseline) if baseline is not None else None
    today = datetime.now(UTC).date()
    expired = [waiver for waiver in waived.values() if waiver.is_expired(today)]
    begin = time.monotonic()
    asked_at = host.identity()
    results = [
        AuditedCheck(check, finding, None if waived.get(check.id) in expired else waived.get(check.id))
        for check, finding in run_checks(checks, timeout, quiet=quiet or output is Output.NRPE)
    ]
    audited = AuditRun(
        asked_at,
        results,
        left_out=[check.id for check in CHECKS if check not in checks],
        root=host.as_root(),
        baseline=before,
        expired=expired,
        seconds=time.monotonic() - begin,
    )
    counts = fail_on or (FailOn.UNKNOWN if output is Output.NRPE else FailOn.MEDIUM)
    document = document_of(audited, output, counts, everything=everything, evidence=evidence, quiet=quiet)
    emit(document, output, path=write, quiet=quiet)
    if output is Output.NRPE:
        from kprobe_tool.commands.audit.monitoring import plugin

        return plugin(audited, counts).state
    return audited.exit_code(counts)


def list_document(checks: Sequence[Check]) -> Document:
    """The document of ``--list``."""
    from kprobe_tool.commands.check_rows import CHECK_COLUMNS, REFERENCE_COLUMNS, check_row, reference_rows
    from kprobe_tool.report.document import Table

    return Document(
        "audit-list",
        host.identity(),
        [Table(CHECK_COLUMNS, [check_row(check) for check in checks])],
        aside=[Table(REFERENCE_COLUMNS, reference_rows(checks), title="References")],
    )


def document_of(
    audited: AuditRun, output: Output, fail_on: FailOn, *, everything: bool, evidence: bool, quiet: bool
) -> Document:
    """The document of a run, with what its format shows."""
    if output.for_people:
        from kprobe_tool.commands.audit.picture import for_people

        return for_people(
            audited, fail_on, everything=everything or output is Output.WIDE, evidence=evidence, quiet=quiet
        )
    if output in COMMON:
        return audited.document()
    from kprobe_tool.commands.audit.monitoring import metrics, plugin

    return audited.document()._replace(
        metrics=metrics(audited), plugin=plugin(audited, fail_on), one_line=audited.one_line()
    )
