# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool rds-info``: what the C rds-info shows, in every namespace, and whether the kernel leaks it."""

from __future__ import annotations

import errno
import itertools
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import click
from click.core import ParameterSource

from kprobe_tool.commands.completion import complete, netns_names
from kprobe_tool.commands.findings import FailOn, fail_on_option
from kprobe_tool.commands.options import OutputFile, output_option
from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.lazy import examples
from kprobe_tool.probes import host
from kprobe_tool.report.document import Document
from kprobe_tool.report.output import Output, emit

if TYPE_CHECKING:
    from kprobe_tool.probes.namespaces import Netns
    from kprobe_tool.probes.rds.ask import Capture
    from kprobe_tool.probes.rds.filter import InfoFilter

EVERY = "*"
PORT = click.IntRange(0, 65535)
SOURCES = ("sockets", "connections", "tcp", "ib", "send", "retrans", "recv", "counters")


class Selection(NamedTuple):
    """What the command line asks for. ``chosen`` lists were named; ``wanted`` are those of them, or of all, that the
    filters are about."""

    netns: Sequence[str]
    all_netns: bool
    chosen: Sequence[str]
    wanted: Sequence[str]
    filter: InfoFilter
    save: str | None = None


LEAKING = (
    "this kernel shows the rows of every network namespace to every caller; they are attributed by process and "
    "local address, and NETNS is '-' where neither proves anything"
)
PERHAPS_LEAKING = (
    "whether this kernel shows the rows of other network namespaces could not be found out (that takes user "
    "namespaces or root): NETNS is '-' where a row may be anybody's"
)


def find_namespaces(netns: Sequence[str], all_netns: bool) -> tuple[list[Netns], list[Error]]:
    """The namespaces that the options name, and what kept others of --all-netns from being seen. Raises Error."""
    from kprobe_tool.probes import namespaces

    # A misspelt name is refused also where all are asked for.
    named = {space.identity: space for space in (namespaces.resolve(spec) for spec in netns if spec != EVERY)}
    if all_netns or EVERY in netns:
        return namespaces.find_all()
    return list(named.values()) or [namespaces.current()], []


def ask(selection: Selection) -> Document:
    """Ask the running kernel once. Raises Error when nothing at all could be read."""
    from kprobe_tool.probes.rds.presence import presence

    spaces, errors = find_namespaces(selection.netns, selection.all_netns)
    status = presence()
    identity = host.identity()
    if not status.registered:
        if selection.save:
            raise Error(selection.save, f"nothing to save: {status.absence()}")
        more = {"rds": status.evidence(), "sources": {}, "leaking": None}
        return Document("rds-info", identity, [], more=more, summary=[status.absence()])
    from kprobe_tool.probes.rds.ask import capture
    from kprobe_tool.probes.rds.lists import options_of

    # A saved file holds all lists, since nobody knows yet what it will be asked.
    lists = selection.chosen or (SOURCES if selection.save else selection.wanted)
    found = capture(spaces, options_of(lists))
    found = found._replace(errors=[*errors, *found.errors])
    if selection.save:
        from kprobe_tool.probes.rds import savefile

        savefile.save(selection.save, found, identity)
    return document_of(found, identity, selection, {"rds": status.evidence()})


def document_of(
    capture: Capture, identity: Mapping[str, object], selection: Selection, more: Mapping[str, object]
) -> Document:
    """The rows of one capture that the selection is about."""
    from kprobe_tool.commands.rds_info.rows import tables
    from kprobe_tool.probes.rds.entries import entries
    from kprobe_tool.probes.rds.filter import InfoFilter
    from kprobe_tool.probes.rds.lists import LISTS, availability
    from kprobe_tool.probes.rds.matching import matches

    sources = availability(capture.readings)
    absent = []
    for name in selection.chosen:
        if sources.get(name) == "unavailable":
            module = LISTS[name].module
            hint = None if module == "rds" else f"it is there when {module} is loaded"
            absent.append(Error(name, "the kernel has no such list", errno=errno.ENOPROTOOPT, hint=hint))
        elif name not in sources:
            absent.append(Error(name, "was not asked for when this was saved"))
    wanted = None if selection.filter == InfoFilter() else partial(matches, selection.filter)
    found = entries(capture, selection.wanted, wanted)
    warnings = [LEAKING if capture.leaking else PERHAPS_LEAKING]
    if capture.leaking is False or list(selection.wanted) == ["counters"]:
        warnings = []
    return Document(
        "rds-info",
        identity,
        tables(found, sources, selection.wanted),
        [*capture.errors, *absent],
        more={**more, "sources": sources, "leaking": capture.leaking},
        warnings=warnings,
    )


def finish(document: Document, output: Output) -> ExitCode:
    """Print it; where something could not be read the answer is incomplete."""
    emit(document, output)
    return ExitCode.CANNOT_TELL if document.errors else ExitCode.OK


def watch_kernel(selection: Selection, output: Output, seconds: float, count: int | None) -> ExitCode:
    """Ask again and again, each counter with its change since the last time."""
    from kprobe_tool.commands.rds_info.rows import with_deltas

    previous: dict[str, int] = {}
    code = ExitCode.OK
    for turn in range(count) if count else itertools.count():
        if turn:
            time.sleep(seconds)
            if output is not Output.JSONL:
                click.echo()
        document = ask(selection)
        if output is not Output.JSONL:
            click.echo(document.host["time"])
        code = finish(document._replace(tables=with_deltas(document.tables, previous)), output)
    return code


@click.command(
    short_help="Show RDS sockets, connections, messages and counters.",
    epilog=examples(
        "kprobe-tool rds-info --all-netns",
        "kprobe-tool rds-info --send --retrans --faddr 10.0.0.0/8",
        "kprobe-tool rds-info --leak-check",
    ),
)
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
    shell_complete=complete(netns_names),
    help="Ask in this network namespace instead of the caller's; may be repeated; without a value in all of them.",
)
@click.option("--all-netns", is_flag=True, help="Ask in every network namespace that can be found.")
@click.option("--laddr", multiple=True, metavar="ADDR[/LEN]", help="Only rows with this local address or prefix.")
@click.option("--faddr", multiple=True, metavar="ADDR[/LEN]", help="Only rows with this foreign address or prefix.")
@click.option("--lport", multiple=True, type=PORT, metavar="PORT", help="Only rows with this local port.")
@click.option("--fport", multiple=True, type=PORT, metavar="PORT", help="Only rows with this foreign port.")
@click.option(
    "--tos", multiple=True, type=click.IntRange(0, 255), metavar="TOS", help="Only rows with this type of service."
)
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
@click.option("--counter", multiple=True, metavar="GLOB", help="Only counters whose name matches this pattern.")
@click.option(
    "--watch", type=click.FloatRange(0.1), metavar="SECONDS", help="Ask again every SECONDS; counters show deltas."
)
@click.option("--count", type=click.IntRange(1), metavar="N", help="With --watch: stop after this many times.")
@click.option("--save", type=OutputFile(), metavar="FILE", help="Keep the kernel's raw answers in a file.")
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

    All lists are shown unless some are chosen; with filters, those that have what the filters look at. Values of
    one filter are alternatives. Where RDS is not loaded this says so, asks nothing and loads nothing.
    """
    from kprobe_tool.probes.rds.filter import InfoFilter, network

    given = {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if leak_check:
        if given - {"leak_check", "output", "fail_on"}:
            raise click.UsageError("--leak-check goes with -o and --fail-on only")
        from kprobe_tool.commands.rds_info.leak_check import run_leak_check

        return run_leak_check(output, fail_on)
    if "fail_on" in given:
        raise click.UsageError("--fail-on goes with --leak-check")
    if watch and (output is Output.JSON or from_file or save):
        raise click.UsageError("--watch asks a live kernel and goes with -o table, wide or jsonl, not with --save")
    if count and not watch:
        raise click.UsageError("--count goes with --watch")
    if from_file and (netns or all_netns or save):
        raise click.UsageError("--from reads what was saved and goes with neither --netns, --all-netns nor --save")
    info_filter = InfoFilter(
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
    shown = filter(info_filter.leaves_any, chosen) if chosen else filter(info_filter.concerns, SOURCES)
    wanted = list(shown)
    if not wanted:
        what = "list that was chosen" if chosen else "list of RDS"
        raise click.UsageError(f"no {what} has all that these filters look at")
    selection = Selection(netns, all_netns, chosen, wanted, info_filter, save)
    if from_file:
        from kprobe_tool.probes.rds import savefile

        return finish(document_of(*savefile.load(from_file), selection, {}), output)
    if watch:
        return watch_kernel(selection, output, watch, count)
    return finish(ask(selection), output)
