# SPDX-License-Identifier: GPL-2.0-or-later
"""What skmsg watch sees of plain TCP sockets on this host: no kprobes, but a verdict program that looks itself."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kprobe_tool.errors import ExitCode
from kprobe_tool.native import bcc, host, netns
from kprobe_tool.native.sk_msg import PageKind
from kprobe_tool.probes.live import Counters, Limits
from kprobe_tool.probes.skmsg.watch import (
    AttachMethod,
    HookEvent,
    MessageFilter,
    MessageWatch,
    TargetProcess,
    boot_time,
    decode,
)

from .. import skmsg
from ..nobody import command_as_nobody
from ..skips import skip

SENT = 2003
"""A prime number of messages, more than the ring holds."""

NOW = Limits(lambda: "done")


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MessageWatch]:
    """A watch that is compiled once, and whose hooks are not attached."""
    if not host.effective_capabilities() & {"CAP_BPF", "CAP_SYS_ADMIN"}:
        skip("BPF needs root")
    if not host.readable("/sys/kernel/btf/vmlinux"):
        skip("this kernel has no BTF")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bcc, "SOURCES", skmsg.sources(tmp_path_factory.mktemp("bpf")))
        with MessageWatch(AttachMethod.KPROBE) as made:
            yield made


def collect(watch: MessageWatch, limits: Limits = NOW) -> tuple[list[HookEvent], Counters]:
    """The events since the start, and the counters."""
    boot = boot_time()
    feed = watch.feed(limits)
    events = [decode(record, boot) for record in feed]
    return events, feed.counters()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_message_is_seen_as_it_was_sent(watch: MessageWatch, address: str) -> None:
    before = time.time()
    with skmsg.connection(address) as (client, peer):
        watch.start(MessageFilter(everything=True))
        skmsg.use_verdict(watch.program, "look_and_pass", client)
        skmsg.exchange(client, peer, 1, b"message")
        (sport, dport) = client.getsockname()[1], peer.getsockname()[1]
    (event,), counters = collect(watch)
    assert counters == Counters(seen=1, emitted=1)
    assert before - 1 < event.time.timestamp() < time.time() + 1
    assert (event.hook, event.pid, event.netns) == ("sk_psock_msg_verdict", os.getpid(), netns.current().inode)
    assert event.comm == Path("/proc/self/comm").read_text().strip()
    assert (event.saddr, event.sport, event.daddr, event.dport) == (address, sport, address, dport)
    assert (event.sg.start, event.sg.end, event.sg.size, event.sg.copy) == (0, 1, 7, 0)
    (element,) = event.sg.elements
    assert (element.index, element.length, element.kind) == (0, 7, PageKind.KERNEL)
    assert (element.copy, element.exposed, element.dev, element.ino) == (False, False, None, None)


def test_a_message_of_many_pages_is_seen_whole(watch: MessageWatch) -> None:
    with skmsg.connection() as (client, peer):
        watch.start(MessageFilter(everything=True))
        skmsg.use_verdict(watch.program, "look_and_pass", client)
        skmsg.exchange(client, peer, 1, b"x" * 300_000)
    events, counters = collect(watch)
    assert counters == Counters(seen=len(events), emitted=len(events))
    assert max(len(event.sg.elements) for event in events) > 1
    for event in events:
        assert sum(element.length for element in event.sg.elements) == event.sg.size
    assert sum(event.sg.size for event in events) == 300_000


def test_only_exposed_elements_are_seen_unless_all_are_asked_for(watch: MessageWatch) -> None:
    with skmsg.connection() as (client, peer):
        watch.start(MessageFilter())
        skmsg.use_verdict(watch.program, "look_and_pass", client)
        skmsg.exchange(client, peer, 11)
    assert collect(watch) == ([], Counters(filtered=11))


OTHER_PORT = 1
"""tcpmux: never that of a connection here."""


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        (lambda sport, dport: MessageFilter(pid=os.getpid()), True),
        (lambda sport, dport: MessageFilter(pid=os.getppid()), False),
        (lambda sport, dport: MessageFilter(netns=netns.current().inode), True),
        (lambda sport, dport: MessageFilter(netns=1), False),
        (lambda sport, dport: MessageFilter(port=sport), True),
        (lambda sport, dport: MessageFilter(port=dport), True),
        (lambda sport, dport: MessageFilter(port=OTHER_PORT), False),
        (lambda sport, dport: MessageFilter(pid=os.getpid(), port=OTHER_PORT), False),
    ],
)
def test_filters_choose_by_process_namespace_and_port(
    watch: MessageWatch, filters: Callable[[int, int], MessageFilter], shown: bool
) -> None:
    with skmsg.connection() as (client, peer):
        chosen = filters(client.getsockname()[1], peer.getsockname()[1])
        watch.start(replace(chosen, everything=True))
        skmsg.use_verdict(watch.program, "look_and_pass", client)
        skmsg.exchange(client, peer, 3)
    events, counters = collect(watch)
    assert len(events) == counters.seen == (3 if shown else 0)
    assert counters.filtered == (0 if shown else 3)


def test_messages_have_the_namespace_that_they_are_sent_in(watch: MessageWatch) -> None:
    """A child makes the namespace; this process enters it and sends."""
    watch.start(MessageFilter(everything=True))
    code = """
import os, sys
from kprobe_tool.native import link, sched
sched.unshare(sched.CLONE_NEWNET)
print(os.stat("/proc/self/ns/net").st_ino, flush=True)
sys.stdin.readline()
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    inode = int(child.stdout.readline())
    space = netns.from_path(f"/proc/{child.pid}/ns/net")
    assert space.inode == inode != netns.current().inode
    try:
        subprocess.run(["nsenter", "-t", str(child.pid), "-n", "ip", "link", "set", "lo", "up"], check=True)

        def traffic() -> None:
            with skmsg.connection() as (client, peer):
                skmsg.use_verdict(watch.program, "look_and_pass", client)
                skmsg.exchange(client, peer, 2)

        netns.call_inside(space, traffic)
    finally:
        child.communicate("\n")
    events, _ = collect(watch)
    assert [event.netns for event in events] == [inode, inode]


def test_messages_that_find_no_room_are_counted(watch: MessageWatch) -> None:
    """The ring is too small for them: what is dropped is counted to the last message."""
    with skmsg.connection() as (client, peer):
        watch.start(MessageFilter(everything=True))
        skmsg.use_verdict(watch.program, "look_and_pass", client)
        skmsg.exchange(client, peer, SENT)
    events, counters = collect(watch)
    assert counters.seen == SENT
    assert counters.seen == counters.emitted + counters.dropped
    assert counters.emitted == len(events)
    assert counters.dropped > 0


def test_messages_read_while_they_come_are_all_counted(watch: MessageWatch) -> None:
    """Another process sends at the same time: no message is lost without being counted."""
    with skmsg.connection() as (client, peer):
        watch.start(MessageFilter(everything=True))
        skmsg.use_verdict(watch.program, "look_and_pass", client)
        child = os.fork()
        if child == 0:
            try:
                skmsg.exchange(client, peer, SENT)
            finally:
                os._exit(0)
        ended = TargetProcess(child)
        with ended:
            events, counters = collect(watch, Limits(lambda: "target-gone" if ended.has_ended() else None))
        os.waitpid(child, 0)
    assert counters.seen == SENT
    assert (counters.emitted, counters.seen) == (len(events), counters.emitted + counters.dropped)
    assert {event.pid for event in events} == {child}


def test_count_ends_the_watch(watch: MessageWatch) -> None:
    """What is left in the ring by then is counted as dropped."""
    with skmsg.connection() as (client, peer):
        watch.start(MessageFilter(everything=True))
        skmsg.use_verdict(watch.program, "look_and_pass", client)
        skmsg.exchange(client, peer, 7)
    events, counters = collect(watch, Limits(count=5))
    assert len(events) == 5
    assert counters == Counters(seen=7, emitted=5, dropped=2)


def test_duration_ends_the_watch(watch: MessageWatch) -> None:
    watch.start(MessageFilter(everything=True))
    start = time.monotonic()
    feed = watch.feed(Limits(duration=0.4))
    assert list(feed) == []
    assert 0.4 <= time.monotonic() - start < 60
    assert feed.ended == "duration"


def test_a_target_that_ended_is_gone() -> None:
    child = subprocess.Popen(["sleep", "60"])
    with TargetProcess(child.pid) as target:
        assert not target.has_ended()
        child.kill()
        child.wait()
        assert target.has_ended()


def test_nobody_gets_one_line() -> None:
    done = subprocess.run(
        command_as_nobody([sys.executable, "-m", "kprobe_tool", "skmsg", "watch"]),
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (ExitCode.CANNOT_TELL, "", 1)
    assert "Operation not permitted (EPERM); needs CAP_BPF" in done.stderr


def test_this_kernel_is_watched_or_said_not_to_be(watch: MessageWatch) -> None:
    """Each hook that the command does not attach has a reason."""
    done = subprocess.run(
        [sys.executable, "-m", "kprobe_tool", "skmsg", "watch", "--duration", "0.1", "-o", "json"],
        check=False,
        capture_output=True,
        text=True,
    )
    document = json.loads(done.stdout)
    attached = [hook["attached"] for hook in document["hooks"]]
    assert [hook["reason"] is None for hook in document["hooks"]] == attached
    if any(attached):
        assert (done.returncode, document["summary"]["ended"]) == (ExitCode.OK, "duration")
    else:
        assert (done.returncode, document["summary"]["ended"]) == (ExitCode.CANNOT_TELL, "not-started")
        assert [error["subject"] for error in document["errors"]] == ["sk_msg"]
