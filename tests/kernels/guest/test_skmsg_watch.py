# SPDX-License-Identifier: GPL-2.0-or-later
"""skmsg watch by kprobes, on sockets of this process and on those of skmsg check."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from kprobe_tool import cli
from kprobe_tool.checks import history
from kprobe_tool.errors import ExitCode
from kprobe_tool.native import bcc, kprobe, tracefs
from kprobe_tool.native.sk_msg import PageKind
from kprobe_tool.probes.live import Counters, Limits
from kprobe_tool.probes.skmsg import experiment, judge
from kprobe_tool.probes.skmsg.cases import Must
from kprobe_tool.probes.skmsg.judge import CaseOutcome
from kprobe_tool.probes.skmsg.watch import (
    FUNCTIONS,
    AttachMethod,
    HookEvent,
    MessageFilter,
    MessageWatch,
    boot_time,
    decode,
)

from ... import skmsg
from .expected import Expected

SENT = 2003
"""A prime number of messages, more than the ring holds."""

CAPTURED = 100

NOW = Limits(lambda: "done")
EVERYTHING = MessageFilter(everything=True)


@pytest.fixture(scope="module")
def watch(modprobe: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[MessageWatch]:
    """A watch that is compiled once for all tests here, since that takes most of their time."""
    modprobe("tls")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bcc, "SOURCES", skmsg.sources(tmp_path_factory.mktemp("bpf")))
        with MessageWatch() as made:
            yield made


Collect = Callable[[], tuple[list[HookEvent], Counters]]


@pytest.fixture
def collect(watch: MessageWatch, record_property: Callable[[str, object], None]) -> Collect:
    """Read the events since the start, and keep those that are not too many as a capture for the unit tests."""

    def read() -> tuple[list[HookEvent], Counters]:
        boot = boot_time()
        feed = watch.feed(NOW)
        records = list(feed)
        if len(records) < CAPTURED:
            capture = {"boot_time": boot, "records": [record.hex() for record in records]}
            record_property("capture", json.dumps(capture))
        return [decode(record, boot) for record in records], feed.counters()

    return read


def test_every_function_is_watched(watch: MessageWatch, collect: Collect) -> None:
    watch.start(MessageFilter())
    assert [(hook.function, hook.reason) for hook in watch.hooks] == [(function.name, None) for function in FUNCTIONS]
    assert watch.method is AttachMethod.KPROBE
    assert collect() == ([], Counters())


def test_push_pop_and_pull_are_seen_when_done(watch: MessageWatch, collect: Collect) -> None:
    """The message grows by 8 bytes, and shrinks again."""
    with skmsg.connection("::1") as (client, peer):
        skmsg.use_verdict(watch.program, "push_pop_pull", client)
        watch.start(EVERYTHING)
        skmsg.exchange(client, peer, 1, b"message")
        events, counters = collect()
        ports = client.getsockname()[1], peer.getsockname()[1]
    assert [(event.hook, event.sg.size) for event in events] == [
        ("sk_psock_msg_verdict", 7),
        ("bpf_msg_push_data", 15),
        ("bpf_msg_pop_data", 7),
        ("bpf_msg_pull_data", 7),
    ]
    assert {(event.saddr, event.daddr, event.sport, event.dport) for event in events} == {("::1", "::1", *ports)}
    assert {event.pid for event in events} == {os.getpid()}
    assert counters == Counters(seen=4, emitted=4)


def test_fentry_sees_the_same(watch: MessageWatch) -> None:
    """Only the function of a module is missing, which bcc does not reach by fentry."""
    with MessageWatch(AttachMethod.FENTRY) as other, skmsg.connection() as (client, peer):
        skmsg.use_verdict(other.program, "push_pop_pull", client)
        other.start(EVERYTHING)
        if os.uname().machine == "aarch64" and not any(hook.attached for hook in other.hooks):
            pytest.skip("this kernel takes no fentry on arm64; Linux does since v6.4")
        assert [hook.function for hook in other.hooks if not hook.attached] == ["bpf_exec_tx_verdict"]
        skmsg.exchange(client, peer, 1, b"message")
        feed = other.feed(NOW)
        events = [decode(record, 0) for record in feed]
    assert [(event.hook, event.sg.size) for event in events] == [
        ("sk_psock_msg_verdict", 7),
        ("bpf_msg_push_data", 15),
        ("bpf_msg_pop_data", 7),
        ("bpf_msg_pull_data", 7),
    ]


def test_pages_of_a_file_are_seen_in_ktls(watch: MessageWatch, collect: Collect) -> None:
    """What sendfile() hands over is the file's page, with its copy bit."""
    with skmsg.connection() as (client, _):
        skmsg.encrypt(client)
        watch.start(EVERYTHING)
        file = skmsg.send_file(client, 1000)
        events, _ = collect()
    assert {event.hook for event in events} == {"bpf_exec_tx_verdict"}
    (element,) = events[0].sg.elements
    assert (element.offset, element.length, element.kind) == (100, 1000, PageKind.CACHE)
    assert (element.dev, element.ino) == (file.st_dev, file.st_ino)
    assert element.copy
    assert not element.exposed


def test_every_element_of_a_full_record_is_seen(watch: MessageWatch, collect: Collect) -> None:
    """A full record has MAX_MSG_FRAGS elements, one less than there are slots."""
    with skmsg.connection() as (client, _):
        skmsg.encrypt(client)
        watch.start(EVERYTHING)
        skmsg.splice_parts(client, 30)
        events, _ = collect()
    full = events[0].sg
    assert [(element.index, element.offset, element.length) for element in full.elements] == [
        (part, 20 * part, 10) for part in range(17)
    ]
    assert (full.start, full.end, full.size, full.copy) == (0, 17, 170, (1 << 17) - 1)


def test_disabled_kprobes_are_a_reason(watch: MessageWatch, collect: Collect) -> None:
    """Kprobes that are disabled can be registered, and are never hit."""
    enabled = Path(kprobe.ENABLED)
    enabled.write_text("0")
    try:
        watch.start(EVERYTHING)
    finally:
        enabled.write_text("1")
    assert {hook.reason for hook in watch.hooks} == {f"disabled; 'echo 1 > {enabled}' enables them"}
    assert collect() == ([], Counters())


def test_messages_that_find_no_room_are_counted(watch: MessageWatch, collect: Collect) -> None:
    """Nobody reads meanwhile: what the ring has no room for is counted to the last message."""
    with skmsg.connection() as (client, peer):
        skmsg.use_verdict(watch.program, "pass_on", client)
        watch.start(EVERYTHING)
        skmsg.exchange(client, peer, SENT)
        events, counters = collect()
    assert counters.seen == SENT
    assert counters.seen == counters.emitted + counters.dropped
    assert counters.emitted == len(events)
    assert counters.dropped > 0


def group_by_connection(events: Sequence[HookEvent]) -> list[list[HookEvent]]:
    """The events of each connection, in the order of their first."""
    found: dict[tuple[int, int, int], list[HookEvent]] = {}
    for event in events:
        found.setdefault((event.netns, event.sport, event.dport), []).append(event)
    return list(found.values())


def test_watch_and_skmsg_check_agree(watch: MessageWatch, collect: Collect, expected: Expected) -> None:
    """Where a test of copy bits is affected, an element of its file is seen without one, and nowhere else."""
    watch.start(EVERYTHING)
    done = experiment.run_in_child()
    events, counters = collect()
    assert (counters.dropped, counters.missed) == (0, 0)
    for run, seen in zip(done.runs, group_by_connection(events), strict=True):
        exposed = [element for event in seen for element in event.sg.elements if element.exposed]
        affected = judge.judge(done, run).outcome is CaseOutcome.AFFECTED and run.case.must is Must.NOT_EXPOSE
        assert bool(exposed) == affected, run.case
        assert {(element.dev, element.ino) for element in exposed} <= {(done.dev, done.ino)}
    unfixed = not (expected.has(history.SG_COPY) or expected.has(history.TLS_OR_SOCKMAP))
    assert sum(any(event.sg.exposed for event in seen) for seen in group_by_connection(events)) == (
        5 if unfixed else 0
    )


def bpf_objects() -> dict[str, list[int]]:
    """The ids of all BPF objects."""
    found = {}
    for kind in ("prog", "map", "link"):
        done = subprocess.run(["bpftool", "-j", kind, "show"], check=True, capture_output=True, text=True)
        found[kind] = sorted(each["id"] for each in json.loads(done.stdout or "[]"))
    return found


def probed_functions() -> set[str]:
    """The functions that have kprobes, those of perf events included (kernel/kprobes.c, debugfs)."""
    lines = Path("/sys/kernel/debug/kprobes/list").read_text().splitlines()
    return {line.split()[2].partition("+")[0] for line in lines} & {function.name for function in FUNCTIONS}


def traces() -> tuple[object, ...]:
    """What a run could leave behind."""
    return bpf_objects(), probed_functions(), Path(tracefs.directory(), "kprobe_events").read_text()


@contextmanager
def run_watch(*args: str) -> Iterator[tuple[int, IO[str]]]:
    """The command in a process of its own that has imported everything already: its pid and what it prints."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(writing, 1)
            sys.stdout = os.fdopen(1, "w")
            code = cli.run(["skmsg", "watch", *args])
            sys.stdout.flush()
            os._exit(code)
        finally:
            os._exit(99)
    os.close(writing)
    with os.fdopen(reading) as out:
        yield child, out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_after_a_signal(watch: MessageWatch, number: signal.Signals) -> None:
    with skmsg.connection() as (client, peer):
        skmsg.use_verdict(watch.program, "pass_on", client)
        # The map keeps it.
        watch.program.close_programs()
        before = traces()
        assert before[1:] == (set(), "")
        with run_watch("--all", "--pid", str(os.getpid()), "-o", "jsonl") as (child, out):
            header = json.loads(out.readline())
            assert [hook["attached"] for hook in header["hooks"]] == [True] * len(FUNCTIONS)
            assert probed_functions() == {function.name for function in FUNCTIONS}
            skmsg.exchange(client, peer, 5)
            # Each line comes at once.
            rows = [json.loads(out.readline()) for _ in range(5)]
            assert {(row["type"], row["hook"], row["pid"]) for row in rows} == {
                ("result", "sk_psock_msg_verdict", os.getpid())
            }
            os.kill(child, number)
            rest = [json.loads(line) for line in out]
            _, status = os.waitpid(child, 0)
    if number is signal.SIGKILL:
        assert (os.WTERMSIG(status), rest) == (signal.SIGKILL, [])
    else:
        assert os.waitstatus_to_exitcode(status) == ExitCode.INTERRUPTED
        (summary,) = rest
        assert (summary["type"], summary["ended"]) == ("summary", "signal")
        assert (summary["seen"], summary["emitted"], summary["dropped"], summary["exposed"]) == (5, 5, 0, 0)
    end = time.monotonic() + 30
    while traces() != before and time.monotonic() < end:
        time.sleep(0.5)
    assert traces() == before
