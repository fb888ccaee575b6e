# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool skmsg watch``: messages as they pass, and which of their elements are exposed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import click

from kprobe_tool.commands.completion import complete, netns_names
from kprobe_tool.commands.options import output_option
from kprobe_tool.commands.skmsg.rows import event_row, hook_row
from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.lazy import examples
from kprobe_tool.probes import host
from kprobe_tool.report.document import Document, Row
from kprobe_tool.report.live import live, note_reader
from kprobe_tool.report.output import Output, say
from kprobe_tool.report.text import escape

if TYPE_CHECKING:
    from kprobe_tool.probes.live import Limits
    from kprobe_tool.probes.skmsg.watch import AttachMethod, Hook, MessageFilter


EXPOSED = "EXPOSED"
NONE = "no message was seen"


def address(host_part: object, port: object) -> str:
    return f"[{host_part}]:{port}" if ":" in str(host_part) else f"{host_part}:{port}"


def mark_exposed(line: str, exposed: object) -> str:
    return f"{line} {click.style(EXPOSED, fg='red', bold=True)}" if exposed else line


def lines(row: Row) -> Iterator[str]:
    """One line for the message, one for each element. The only words from outside are the name of the process."""
    at = datetime.fromisoformat(str(row["time"])).astimezone().strftime("%H:%M:%S.%f")
    places = " ".join(f"{name}={row[name]}" for name in ("start", "curr", "end", "size", "copy"))
    yield mark_exposed(
        f"{at} {row['hook']} {escape(str(row['comm']))}/{row['pid']} netns:{row['netns']} "
        f"{address(row['saddr'], row['sport'])}>{address(row['daddr'], row['dport'])} {places}",
        row["exposed"],
    )
    elements = row["elements"]
    for element in elements if isinstance(elements, list) else ():
        page = element["page"] if element["ino"] is None else f"{element['page']} {element['dev']}:{element['ino']}"
        yield mark_exposed(
            f"    [{element['index']}] length={element['length']} offset={element['offset']} "
            f"copy={int(element['copy'])} {page}",
            element["exposed"],
        )


ENDINGS = {
    "count": "done",
    "duration": "--duration is over",
    "signal": "stopped",
    "target-gone": "the process of --pid is gone",
}
"""Why it ended, in JSON and for people; not-started where nothing can be watched."""


def summary_line(summary: Row) -> str:
    """The last line for people."""
    return (
        f"{ENDINGS[str(summary['ended'])]}: {summary['seen']} seen, {summary['emitted']} emitted, "
        f"{summary['dropped']} dropped, {summary['filtered']} filtered, {summary['missed']} missed; "
        f"{summary['exposed']} with an exposed element"
    )


def describe_missing_hooks(hooks: Sequence[Hook]) -> list[str]:
    """What is missing in the picture, by reason."""
    reasons = dict.fromkeys(hook.reason for hook in hooks if not hook.attached)
    by_reason = {reason: [hook.function for hook in hooks if hook.reason == reason] for reason in reasons}
    return [f"not watched: {', '.join(functions)}: {reason}" for reason, functions in by_reason.items()]


def run(filters: MessageFilter, method: AttachMethod | None, limits: Limits, output: Output) -> ExitCode:
    """Watch until something ends it. Raises Error, OSError."""
    from kprobe_tool.probes.live import Counters, stop_flag
    from kprobe_tool.probes.skmsg.watch import MessageWatch, TargetProcess, boot_time, decode

    with ExitStack() as stack:
        target = stack.enter_context(TargetProcess(filters.pid)) if filters.pid is not None else None
        stopped = stack.enter_context(stop_flag())
        watch = stack.enter_context(MessageWatch(method))
        watch.start(filters)
        attached = [hook.function for hook in watch.hooks if hook.attached]
        hooks = [hook_row(hook) for hook in watch.hooks]
        unwatched = describe_missing_hooks(watch.hooks) if attached else []
        document = Document("skmsg-watch", host.identity(), [], more={"hooks": hooks}, warnings=unwatched)
        shown = stack.enter_context(live(document, output, NONE))
        if not attached:
            summary = {**Counters().as_dict(), "exposed": 0, "ended": "not-started"}
            means = "fentry, nor by kprobes" if (method, watch.method) == (None, "fentry") else watch.method
            reason = f"messages cannot be watched: no function that they pass can be attached to by {means}"
            shown.finish(summary, [Error("sk_msg", f"{reason}: {watch.hooks[0].reason}")], None)
            return ExitCode.CANNOT_TELL if stopped() is None else ExitCode.after(stopped())
        if output is Output.TABLE:
            say(f"watching {', '.join(attached)} by {watch.method}; Ctrl-C ends")

        def over() -> str | None:
            note_reader()
            if stopped() is not None:
                return "signal"
            return "target-gone" if target is not None and target.has_ended() else None

        boot, exposed = boot_time(), 0
        feed = watch.feed(replace(limits, over=over))
        for record in feed:
            event = decode(record, boot)
            exposed += event.sg.exposed
            row = event_row(event)
            shown.row(row, lines(row))
        summary = {**feed.counters().as_dict(), "exposed": exposed, "ended": feed.ended}
        shown.finish(summary, [], summary_line(summary))
    return ExitCode.after(stopped())


@click.command(
    short_help="Watch this host for messages with file pages that could be overwritten.",
    epilog=examples(
        "kprobe-tool skmsg watch",
        "kprobe-tool skmsg watch --all --pid 4711",
        "kprobe-tool skmsg watch --duration 60 -o jsonl",
    ),
)
@click.option("--all", "everything", is_flag=True, help="Show every message, not only those with an exposed element.")
@click.option("--pid", type=click.IntRange(1), metavar="PID", help="Only messages that this process sends.")
@click.option(
    "--netns",
    metavar="NAME|PID|PATH|INODE",
    shell_complete=complete(netns_names),
    help="Only sockets of this network namespace.",
)
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="PORT", help="Only sockets with this port, on either end."
)
@click.option(
    "--attach",
    type=click.Choice(["kprobe", "fentry"]),
    help="How to attach (default: kprobe where the kernel has it).",
)
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N messages.")
@click.option("--duration", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="End after that long.")
@output_option(Output.TABLE, Output.JSON, Output.JSONL)
def command(
    *,
    everything: bool,
    pid: int | None,
    netns: str | None,
    port: int | None,
    attach: str | None,
    count: int | None,
    duration: float | None,
    output: Output,
) -> ExitCode:
    """Watch messages on sockets with BPF programs, and whose pages they are.

    Shows each message in which a BPF program could overwrite a cached file: one with a page of the page cache that
    has lost its copy bit (EXPOSED). Ends with Ctrl-C, and then says how many messages there were. Those of kernel
    TLS are seen as well. Nothing is changed, and nothing stays attached. Needs root.
    """
    from kprobe_tool.probes import namespaces
    from kprobe_tool.probes.live import Limits
    from kprobe_tool.probes.skmsg.watch import AttachMethod, MessageFilter

    space = namespaces.resolve(netns).inode if netns is not None else None
    method = AttachMethod(attach) if attach else None
    return run(MessageFilter(everything, pid, space, port), method, Limits(count=count, duration=duration), output)
