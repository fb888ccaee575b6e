# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool verifier-log watch``: every failing load of a BPF program on this host, with its log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from kprobe_tool.commands.completion import complete, prog_type_names
from kprobe_tool.commands.options import output_option
from kprobe_tool.commands.verifier_log.picture import diagnosis_rows, picture
from kprobe_tool.errors import ExitCode, errno_name
from kprobe_tool.lazy import examples
from kprobe_tool.probes import host
from kprobe_tool.report.document import Document, Row
from kprobe_tool.report.live import live, note_reader
from kprobe_tool.report.output import Output, say
from kprobe_tool.report.text import escape, quantity

if TYPE_CHECKING:
    from kprobe_tool.probes.live import Limits
    from kprobe_tool.probes.verifier.diagnosis import Diagnosis
    from kprobe_tool.probes.verifier.watching.attempts import Attempt
    from kprobe_tool.probes.verifier.watching.watch import Explained, LoadFilter, LoadWatch


NO_REPORTS = "no load failed"

CGROUP_SKB = 8
"""The program type for which attach type 0 is a real one (BPF_CGROUP_INET_INGRESS), and does not mean none."""

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}
LOG_MAX = 16 << 20
LOG_DEFAULT = "256K"

ENDINGS = {"count": "done", "duration": "--duration is over", "signal": "stopped"}


@dataclass(frozen=True)
class WatchRequest:
    """What the options ask for; with ``explain`` people see the whole diagnosis, otherwise one line of it."""

    filters: LoadFilter
    max_log: int
    reload: bool
    explain: bool
    redact: bool


def parse_size(ctx: click.Context, param: click.Parameter, value: str) -> int:
    match = re.fullmatch(r"(\d{1,9})([KM]?)", value.upper())
    size = int(match[1]) * UNITS[match[2]] if match else -1
    if not 0 <= size <= LOG_MAX:
        raise click.BadParameter(f"{value!r} is no number of bytes up to 16M; K and M are units")
    return size


def attempt_row(attempt: Attempt) -> Row:
    from kprobe_tool.probes.verifier.watching.watch import duration_of

    load = attempt.load
    return {
        "errno": errno_name(load.errno) if load.errno else None,
        "duration_ns": duration_of(attempt),
        "log_level": load.log_level,
        "log_size": load.log_size,
    }


def report_row(watch: LoadWatch, understood: Explained) -> Row:
    """The JSON object of one report."""
    attempt = understood.report.last
    load = attempt.load
    group = watch.groups.find(load.cgroup)
    read = load.attr_read
    has_attach_type = read and (load.expected_attach_type or load.prog_type == CGROUP_SKB)
    return {
        "time": understood.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "pid": load.pid,
        "tid": load.tid,
        "ns_pid": load.ns_pid,
        "comm": load.comm,
        "uid": load.uid,
        "gid": load.gid,
        "cgroup": {"id": group.id, "path": group.path, "container": group.container},
        "prog_name": load.name or None,
        "prog_type": watch.names.prog_type(load.prog_type) if read else None,
        "expected_attach_type": watch.names.attach_type(load.expected_attach_type) if has_attach_type else None,
        "insn_cnt": load.insn_cnt if read else None,
        "attr_read": read,
        "began": load.start is not None,
        "seccomp": load.seccomp,
        "compat": load.compat,
        **attempt_row(attempt),
        "attempts": [attempt_row(each) for each in understood.report.attempts],
        "log": {
            "source": understood.source,
            "text": understood.log.decode("utf-8", "backslashreplace") if understood.source else None,
            "length": load.length,
            "captured": load.captured,
            "missing": load.missing,
            "true_size": load.true_size,
            "messages_lost": attempt.messages_lost,
        },
        "reload": understood.note,
        "diagnosis": diagnosis_rows(understood.diagnosis) if understood.diagnosis else [],
    }


def headline(row: dict[str, Any]) -> str:
    """Who, what, and how it ended."""
    at = datetime.fromisoformat(row["time"]).astimezone().strftime("%H:%M:%S.%f")
    if row["attr_read"]:
        name = f"'{escape(row['prog_name'])}'" if row["prog_name"] else "without a name"
        kind = row["prog_type"] + ("" if row["expected_attach_type"] is None else f"/{row['expected_attach_type']}")
        program = f"{kind} {name} {quantity(row['insn_cnt'], 'insn')}"
    else:
        program = "unknown program"
    outcome = click.style("accepted", fg="green") if row["errno"] is None else click.style(row["errno"], fg="red")
    took = "" if row["duration_ns"] is None else f" after {row['duration_ns'] / 1e6:.1f} ms"
    tries = "" if len(row["attempts"]) == 1 else f" in {len(row['attempts'])} attempts"
    where = row["cgroup"]["container"] or row["cgroup"]["path"]
    group = f" {escape(where)}" if where not in {None, "/"} else ""
    return (
        f"{at} {escape(row['comm'])}/{row['ns_pid'] or row['pid']} uid:{row['uid']}{group} {program}: "
        f"{outcome}{took}{tries}"
    )


def diagnosis_line(diagnosis: dict[str, Any]) -> str:
    """A diagnosis in one line."""
    outcome = diagnosis["category"] or "not explained"
    if diagnosis["problem"]:
        outcome += f": {diagnosis['problem']}"
    message = diagnosis["message"] or diagnosis["reason"]
    place = diagnosis["place"]
    at = "" if place["insn"] is None else f" at insn {place['insn']}"
    if place["file"]:
        at += f" ({place['file']}:{place['line']})"
    return escape(f"{outcome}{at}: {message}")


def describe_missing(row: dict[str, Any]) -> Iterator[str]:
    """What could not be seen of a load, and why: a line for each."""
    log = row["log"]
    if not row["attr_read"]:
        yield "    what was to be loaded is missing: the memory with the arguments of bpf(2) could not be read"
    if row["errno"] is not None and not row["began"] and row["seccomp"]:
        yield "    not seen to begin: the seccomp filter of the process may have refused it before bpf(2)"
    if log["captured"] < log["length"] and log["missing"] is not None:
        why = {"limit": "--max-log", "room": "lost, too much at once", "unreadable": "not readable"}[log["missing"]]
        lost = log["length"] - log["captured"]
        yield f"    the first {lost} of {log['length']} bytes of the log are missing: {why}"
    if log["messages_lost"]:
        yield f"    missing messages of the verifier: {log['messages_lost']}"
    if row["reload"]:
        yield f"    not loaded again: {escape(row['reload'])}"


def summary_line(summary: Row) -> str:
    reports = int(str(summary["reports"]))
    return (
        f"{ENDINGS[str(summary['ended'])]}: {quantity(reports, 'report')}; loads: {summary['seen']} seen, "
        f"{summary['emitted']} reported, {summary['dropped']} dropped, {summary['filtered']} filtered"
    )


def report_lines(row: Row, diagnosis: Diagnosis | None) -> Iterator[str]:
    """What people read of a row; with a diagnosis, all of it is drawn."""
    shown: dict[str, Any] = dict(row)
    yield headline(shown)
    if diagnosis is not None:
        from kprobe_tool.report.table import style

        yield from ("    " + "".join(map(style, line)) for line in picture(diagnosis))
        yield ""
    elif shown["diagnosis"]:
        yield f"    {diagnosis_line(shown['diagnosis'][0])}"
    yield from describe_missing(shown)


def run(request: WatchRequest, limits: Limits, output: Output) -> ExitCode:
    """Watch until something ends it. Raises Error, OSError."""
    from kprobe_tool.probes.live import stop_flag
    from kprobe_tool.probes.verifier.watching.watch import LoadWatch, explain_report

    with ExitStack() as stack:
        stopped = stack.enter_context(stop_flag())
        watch = stack.enter_context(LoadWatch(request.max_log, reload=request.reload))
        watch.start(request.filters)
        document = Document("verifier-log-watch", host.identity(), [], warnings=watch.warnings)
        shown = stack.enter_context(live(document, output, NO_REPORTS))
        if output is Output.TABLE:
            say("watching loads of BPF programs; Ctrl-C ends")

        def over() -> str | None:
            note_reader()
            return None if stopped() is None else "signal"

        reports = watch.feed(replace(limits, over=over))
        for report in reports:
            understood = explain_report(report, again=request.reload, redacted=request.redact)
            row = report_row(watch, understood)
            shown.row(row, report_lines(row, understood.diagnosis if request.explain else None))
        counted = reports.counters()
        summary = {
            "seen": counted.seen,
            "emitted": counted.emitted,
            "dropped": counted.dropped,
            "filtered": counted.filtered,
            "reports": reports.shown,
            "ended": reports.ended,
        }
        shown.finish(summary, [], summary_line(summary))
    return ExitCode.after(stopped())


@click.command(
    short_help="Watch BPF programs being rejected, with their logs.",
    epilog=examples(
        "kprobe-tool verifier-log watch",
        "kprobe-tool verifier-log watch --explain --comm tc",
        "kprobe-tool verifier-log watch --duration 60 -o jsonl",
    ),
)
@click.option("--all", "everything", is_flag=True, help="Report loads that succeed as well.")
@click.option("--pid", type=click.IntRange(1), metavar="PID", help="Only loads of this process.")
@click.option("--comm", metavar="NAME", help="Only loads of threads with this name.")
@click.option(
    "--type",
    "prog_type",
    metavar="TYPE",
    shell_complete=complete(prog_type_names),
    help="Only programs of this type, such as xdp.",
)
@click.option("--explain", is_flag=True, help="Show the whole explanation, not one line of it.")
@click.option(
    "--max-log",
    metavar="SIZE",
    default=LOG_DEFAULT,
    show_default=True,
    callback=parse_size,
    help="Bytes of each log to take, from its end, up to 16M; 0 takes none.",
)
@click.option("--redact", is_flag=True, help="Leave out addresses of the kernel.")
@click.option("--reload", is_flag=True, help="Load what was rejected without a log again, with one; never attach it.")
@click.option("--once", is_flag=True, help="End after the first report, as --count 1 does.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N reports.")
@click.option("--duration", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="End after that long.")
@output_option(Output.TABLE, Output.JSON, Output.JSONL)
def command(
    *,
    everything: bool,
    pid: int | None,
    comm: str | None,
    prog_type: str | None,
    explain: bool,
    max_log: int,
    redact: bool,
    reload: bool,
    once: bool,
    count: int | None,
    duration: float | None,
    output: Output,
) -> ExitCode:
    """Watch every load of a BPF program that fails on this host: who, what, why, and the loader's own log.

    Until Ctrl-C, and then how many loads there were. A loader's silent attempt and the one with a log that follows
    are one report. Nothing is changed, and nothing stays attached.
    """
    from kprobe_tool.probes.live import Limits
    from kprobe_tool.probes.verifier import prog_types
    from kprobe_tool.probes.verifier.watching.watch import LoadFilter

    if once and count is not None:
        raise click.UsageError("--once is the same as --count 1: give one of them")
    number = None if prog_type is None else prog_types.number_of(prog_type)
    request = WatchRequest(LoadFilter(everything, pid, comm, number), max_log, reload, explain, redact)
    return run(request, Limits(count=1 if once else count, duration=duration), output)
