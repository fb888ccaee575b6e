# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool rds-info``: what the C rds-info shows, in every namespace, and whether the kernel leaks it."""

from __future__ import annotations

import errno
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from kprobe_tool.checks import CHECKS, evaluate
from kprobe_tool.commands.options import output_option
from kprobe_tool.commands.rds_info.rows import LEAK_COLUMNS, tables
from kprobe_tool.commands.verdicts import FINDING_COLUMNS, FailOn, exit_code, fail_on_option, finding_row
from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.probes import host
from kprobe_tool.report.document import Document, Row, Table
from kprobe_tool.report.output import Output, emit

if TYPE_CHECKING:
    from kprobe_tool.probes.namespaces import Netns
    from kprobe_tool.probes.rds.ask import Capture
    from kprobe_tool.probes.rds.filter import Filters

EVERY = "*"
PORT = click.IntRange(0, 65535)
SOURCES = ("sockets", "connections", "tcp", "ib", "send", "retrans", "recv", "counters")


@dataclass(frozen=True)
class Question:
    """What the command line asked for. ``chosen`` sources were named, ``wanted`` are those or all."""

    netns: Sequence[str]
    all_netns: bool
    chosen: Sequence[str]
    wanted: Sequence[str]
    filters: Filters
    save: str | None = None


LEAKING = (
    "this kernel shows the rows of every network namespace to every caller; they are attributed by process and "
    "local address, and NETNS is '-' where neither tells"
)


def run_leak_check(output: Output, fail_on: FailOn) -> ExitCode:
    """``--leak-check``: the options one by one, and the checks that audit runs."""
    from kprobe_tool.probes.rds.experiment import experiment
    from kprobe_tool.probes.rds.presence import presence

    status = presence()
    findings = [(check, evaluate(check)) for check in CHECKS if check.system == "rds"]
    rows = [finding_row(check, finding) for check, finding in findings]
    options: list[Row] = []
    errors = []
    summary = []
    if status.registered:
        try:
            done = experiment()
            options = [option.as_dict() for option in done.options]
            summary = [done.second_witness()]
        except Error as error:
            errors.append(error)
    document = Document(
        "rds-info-leak-check",
        host.identity(),
        [Table(LEAK_COLUMNS, options, title="RDS_INFO options")] if options else [],
        errors,
        more={"rds": status.evidence(), "findings": rows},
        aside=[Table(FINDING_COLUMNS, rows, title="Verdicts")],
        summary=summary,
    )
    emit(document, output)
    # Every kernel so far shares the bind table, so that it would drown the answer that scripts ask for here.
    return exit_code([row for row in findings if row[0].id != "rds-bind-netns"], fail_on)


def select(netns: Sequence[str], all_netns: bool) -> tuple[list[Netns], list[Error]]:
    """The namespaces that the options name, and what kept others of --all-netns from being seen. Raises Error."""
    from kprobe_tool.probes import namespaces

    # A misspelt name is refused also where all are asked for.
    named = {space.identity: space for space in (namespaces.resolve(spec) for spec in netns if spec != EVERY)}
    if all_netns or EVERY in netns:
        return namespaces.every()
    return list(named.values()) or [namespaces.own()], []


def ask(question: Question) -> Document:
    """Ask the running kernel once. Raises Error when nothing at all could be read."""
    from kprobe_tool.probes.rds import entries, savefile
    from kprobe_tool.probes.rds.ask import capture
    from kprobe_tool.probes.rds.presence import presence

    spaces, errors = select(question.netns, question.all_netns)
    status = presence()
    asked = host.identity()
    if not status.registered:
        if question.save:
            raise Error(question.save, f"nothing to save: {status.absence()}")
        more = {"rds": status.evidence(), "sources": {}, "leaking": None}
        return Document("rds-info", asked, [], more=more, summary=[status.absence()])
    found = capture(spaces, entries.options_of(question.wanted))
    found = replace(found, errors=[*errors, *found.errors])
    if question.save:
        savefile.save(question.save, found, asked)
    return document_of(found, asked, question, {"rds": status.evidence()})


def document_of(
    capture: Capture, asked: Mapping[str, object], question: Question, more: Mapping[str, object]
) -> Document:
    """The rows of one capture that the question is about."""
    from kprobe_tool.probes.rds.entries import SOURCES, availability, rows

    sources = availability(capture)
    absent = []
    for name in question.chosen:
        if sources.get(name) == "unavailable":
            module = SOURCES[name].module
            hint = None if module == "rds" else f"it is there when {module} is loaded"
            absent.append(Error(name, "the kernel has no such list", errno=errno.ENOPROTOOPT, hint=hint))
        elif name not in sources:
            absent.append(Error(name, "was not asked for when this was saved"))
    found = [row for row in rows(capture, question.wanted) if question.filters.match(row)]
    return Document(
        "rds-info",
        asked,
        tables(found, sources, question.wanted),
        [*capture.errors, *absent],
        more={**more, "sources": sources, "leaking": capture.leaking},
        warnings=[LEAKING] if capture.leaking else [],
    )


def finish(document: Document, output: Output) -> ExitCode:
    """Print it; what could not be read makes the answer incomplete."""
    emit(document, output)
    return ExitCode.CANNOT_TELL if document.errors else ExitCode.OK


def watch_kernel(question: Question, output: Output, seconds: float, count: int | None) -> ExitCode:
    """Ask again and again, each counter with its change since the last time."""
    previous: dict[str, int] = {}
    code = ExitCode.OK
    for turn in range(count) if count else itertools.count():
        if turn:
            time.sleep(seconds)
            if output is not Output.JSONL:
                click.echo()
        document = ask(question)
        if output is not Output.JSONL:
            click.echo(document.host["time"])
        code = finish(with_deltas(document, question.wanted, previous), output)
    return code


def with_deltas(document: Document, wanted: Sequence[str], previous: dict[str, int]) -> Document:
    """The same document with a ``delta`` in each counter's row; ``previous`` is brought up to date."""
    found: list[Row] = []
    for table in document.tables:
        for row in table.rows:
            if row["source"] == "counters":
                name, value = str(row["name"]), int(str(row["value"]))
                found.append({**row, "delta": value - previous[name] if name in previous else None})
                previous[name] = value
            else:
                found.append(row)
    sources = document.more["sources"]
    if not document.tables or not isinstance(sources, Mapping):
        return document
    return replace(document, tables=tables(found, sources, wanted, deltas=True))


@click.command(short_help="Show RDS sockets, connections, messages and counters.")
@click.option("-c", "--counters", is_flag=True, help="Statistics of the whole host.")
@click.option("-k", "--sockets", is_flag=True, help="RDS sockets, unbound ones too.")
@click.option("-n", "--connections", is_flag=True, help="RDS connections.")
@click.option("-r", "--recv", is_flag=True, help="Messages in receive queues.")
@click.option("-s", "--send", is_flag=True, help="Messages in send queues.")
@click.option("-t", "--retrans", is_flag=True, help="Messages in retransmit queues.")
@click.option("-T", "--tcp", is_flag=True, help="TCP connections under RDS connections.")
@click.option("-I", "--ib", is_flag=True, help="InfiniBand connections under RDS connections.")
@click.option(
    "--netns",
    "netns",
    is_flag=False,
    flag_value=EVERY,
    multiple=True,
    metavar="[NAME|PID|PATH|INODE]",
    help="Ask in this network namespace instead of the own one; may be repeated; without a value in all of them.",
)
@click.option("--all-netns", is_flag=True, help="Ask in every network namespace that can be found.")
@click.option("--laddr", multiple=True, metavar="ADDR[/LEN]", help="Only rows with this local address or prefix.")
@click.option("--faddr", multiple=True, metavar="ADDR[/LEN]", help="Only rows with this foreign address or prefix.")
@click.option("--lport", multiple=True, type=PORT, metavar="PORT", help="Only rows with this local port.")
@click.option("--fport", multiple=True, type=PORT, metavar="PORT", help="Only rows with this foreign port.")
@click.option("--tos", multiple=True, type=click.IntRange(0, 255), metavar="TOS", help="Only rows with this tos.")
@click.option(
    "--state",
    multiple=True,
    type=click.Choice(["connected", "connecting", "down", "error"]),
    help="Only connections in this state.",
)
@click.option(
    "--transport",
    multiple=True,
    type=click.Choice(["tcp", "loopback", "infiniband"]),
    help="Only connections of this transport.",
)
@click.option("--pid", multiple=True, type=click.IntRange(1), metavar="PID", help="Only rows of this process.")
@click.option("--counter", multiple=True, metavar="GLOB", help="Only counters whose name matches.")
@click.option(
    "--watch", type=click.FloatRange(0.1), metavar="SECONDS", help="Ask again every SECONDS; counters show deltas."
)
@click.option("--count", type=click.IntRange(1), metavar="N", help="With --watch: stop after this many times.")
@click.option("--save", type=click.Path(), metavar="FILE", help="Keep the kernel's raw answers in a file.")
@click.option("--from", "from_file", type=click.Path(), metavar="FILE", help="Read a saved file, ask no kernel.")
@click.option("--leak-check", is_flag=True, help="Check whether the kernel shows RDS across network namespaces.")
@fail_on_option(FailOn.UNKNOWN)
@output_option()
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    netns: tuple[str, ...],
    all_netns: bool,
    watch: float | None,
    count: int | None,
    save: str | None,
    from_file: str | None,
    leak_check: bool,
    fail_on: FailOn,
    output: Output,
    counter: tuple[str, ...],
    laddr: tuple[str, ...],
    faddr: tuple[str, ...],
    lport: tuple[int, ...],
    fport: tuple[int, ...],
    tos: tuple[int, ...],
    state: tuple[str, ...],
    transport: tuple[str, ...],
    pid: tuple[int, ...],
    **sources: bool,
) -> ExitCode:
    """Show RDS sockets, connections, message queues, TCP and InfiniBand connections, and counters.

    All sources are shown unless some are chosen. Where RDS is not loaded this says so, asks nothing and loads
    nothing. Filters of one kind are alternatives; rows without the field that a filter looks at are left out.
    """
    from kprobe_tool.probes.rds.filter import Filters, network

    given = {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if leak_check:
        if given - {"leak_check", "output", "fail_on"}:
            raise click.UsageError("--leak-check goes with -o and --fail-on only")
        return run_leak_check(output, fail_on)
    if "fail_on" in given:
        raise click.UsageError("--fail-on goes with --leak-check")
    if watch and (output is Output.JSON or from_file or save):
        raise click.UsageError("--watch asks a live kernel and goes with -o table, wide or jsonl, not with --save")
    if count and not watch:
        raise click.UsageError("--count goes with --watch")
    if from_file and (netns or all_netns or save):
        raise click.UsageError("--from reads what was saved and goes with neither --netns, --all-netns nor --save")
    filters = Filters(
        laddr=tuple(map(network, laddr)),
        faddr=tuple(map(network, faddr)),
        lport=lport,
        fport=fport,
        tos=tos,
        state=state,
        transport=transport,
        pid=pid,
        counter=counter,
    )
    chosen = [name for name in SOURCES if sources[name]]
    question = Question(netns, all_netns, chosen, chosen or list(SOURCES), filters, save)
    if from_file:
        from kprobe_tool.probes.rds import savefile

        return finish(document_of(*savefile.load(from_file), question, {}), output)
    if watch:
        return watch_kernel(question, output, watch, count)
    return finish(ask(question), output)
