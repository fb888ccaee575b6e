"""skmsg watch by kprobes, on sockets of this process."""

from collections.abc import Callable, Iterator

import pytest

from kprobe_tool.native import bcc
from kprobe_tool.probes.live import Counters, Limits
from kprobe_tool.probes.skmsg.watch import FUNCTIONS, Event, Filters, Method, Watch, boot_time, decode

from ... import skmsg

SENT = 2003
"""A prime number of messages, more than the ring holds."""

NOW = Limits(lambda: "done")


@pytest.fixture(scope="module")
def watch(modprobe: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """Compiled once for all tests here, which takes most of their time."""
    modprobe("tls")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bcc, "SOURCES", skmsg.sources(tmp_path_factory.mktemp("bpf")))
        with Watch() as made:
            yield made


def collect(watch: Watch) -> tuple[list[Event], Counters]:
    """What has happened since the start."""
    boot = boot_time()
    feed = watch.feed(NOW)
    events = [decode(record, boot) for record in feed]
    return events, feed.counters()


def test_every_function_is_watched(watch: Watch) -> None:
    watch.start(Filters())
    assert [(hook.function, hook.reason) for hook in watch.hooks] == [(function.name, None) for function in FUNCTIONS]
    assert watch.method is Method.KPROBE
    events, counters = collect(watch)
    assert (events, counters.seen) == ([], 0)


def test_push_pop_and_pull(watch: Watch) -> None:
    with skmsg.connection() as (client, peer):
        skmsg.use(watch.program, "push_pop_pull", client)
        watch.start(Filters(everything=True))
        skmsg.exchange(client, peer, 1)
        print(collect(watch))


def test_ktls(watch: Watch) -> None:
    with skmsg.connection() as (client, _):
        skmsg.encrypt(client)
        watch.start(Filters(everything=True))
        file = skmsg.send_file(client)
        print(file, collect(watch))


def test_load(watch: Watch) -> None:
    with skmsg.connection() as (client, peer):
        skmsg.use(watch.program, "pass_on", client)
        watch.start(Filters(everything=True))
        skmsg.exchange(client, peer, SENT)
        events, counters = collect(watch)
    print(counters)
    assert counters.seen == SENT
    assert counters.seen == counters.emitted + counters.dropped
    assert len(events) == counters.emitted
    assert counters.dropped > 0
