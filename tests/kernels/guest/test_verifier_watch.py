# SPDX-License-Identifier: GPL-2.0-or-later
"""verifier-log watch with loaders of all kinds, and the verifier's messages where no log is asked for."""

import errno as errnos
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kprobe_tool import cli
from kprobe_tool.errors import ExitCode
from kprobe_tool.native import bpf
from kprobe_tool.probes.verifier.watching.watch import LoadFilter, LoadWatch, LogSource, explain_report

from ... import loads, odd_loads
from ...loads import collect

MAX_LOG = 1 << 18


@pytest.fixture(scope="module")
def watch() -> Iterator[LoadWatch]:
    """A watch that is compiled once for all tests here, since that takes most of their time."""
    with LoadWatch(MAX_LOG, reload=True) as made:
        yield made


def test_failing_loads_of_three_loaders_are_reported(watch: LoadWatch) -> None:
    """A prime number of failing loads: each is reported, with the log that its loader saw, and explained."""
    watch.start(LoadFilter())
    assert watch.warnings == []
    by_hand, by_libbpf, by_bcc = loads.load_by_hand(13), loads.load_by_libbpf(11), loads.load_by_bcc(7)
    seen = [*by_hand, *by_libbpf, *by_bcc]
    reports, counters = collect(watch, {each.pid for each in seen})
    assert counters.seen == counters.emitted == 13 + 2 * (11 + 7)
    assert counters.dropped == 0
    tries = [
        (report.last.load.name, [(each.load.errno, each.load.log_size) for each in report.attempts])
        for report in reports
    ]
    assert len(reports) == 31, str(tries[24:])
    for report, each in zip(reports, seen, strict=True):
        loads.assert_agrees(report, each)
        assert len(report.attempts) == (1 if each in by_hand else 2)
        found = explain_report(report)
        assert found.source is LogSource.LOADER
        assert found.diagnosis is not None
        assert found.diagnosis.recognised
        assert found.diagnosis.category


def test_messages_are_read_without_a_log(watch: LoadWatch) -> None:
    """The verifier's messages, which nobody has asked for, are those that a log would have."""
    watch.start(LoadFilter())
    seen = [loads.load_silently(text) for text, _ in loads.REFUSED]
    reports, _ = collect(watch, {each.pid for each in seen})
    assert len(reports) == len(seen)
    for report, (_, line) in zip(reports, loads.REFUSED, strict=True):
        found = explain_report(report)
        assert found.source is LogSource.MESSAGES
        assert found.log.decode().startswith(line)
        assert found.log.endswith(b"\n")
        assert report.last.messages_lost == 0
        assert found.diagnosis is not None
        assert found.diagnosis.recognised


def test_an_attr_without_log_true_size_is_read(watch: LoadWatch) -> None:
    watch.start(LoadFilter())
    seen = loads.load_with_attr(loads.LONG.format(count=101), 2, 1 << 19, attr_size=loads.OLD_ATTR_SIZE)
    (report,), _ = collect(watch, {seen.pid})
    loads.assert_agrees(report, seen)
    assert report.last.load.true_size is None


def test_an_attr_in_memory_never_touched_is_read_at_the_end(watch: LoadWatch) -> None:
    """The attr cannot be read when the call begins."""
    watch.start(LoadFilter())
    seen = odd_loads.load_from_untouched_memory(loads.REFUSED[0][0])
    (report,), _ = collect(watch, {seen.pid})
    loads.assert_agrees(report, seen)
    assert (report.last.load.attr_read, report.last.load.name) == (True, "untouched")


def test_an_attr_that_is_nowhere_is_not_read(watch: LoadWatch) -> None:
    watch.start(LoadFilter())
    seen = odd_loads.load_from_nowhere()
    (report,), _ = collect(watch, {seen.pid})
    assert (report.last.load.errno, report.last.load.attr_read) == (errnos.EFAULT, False)


@pytest.mark.parametrize("errno", [errnos.EPERM, errnos.ENOSYS])
def test_a_load_that_seccomp_refuses_is_reported(watch: LoadWatch, errno: int) -> None:
    """Of a system call that seccomp refuses only the end is seen."""
    watch.start(LoadFilter())
    seen = odd_loads.load_behind_seccomp(errno)
    (report,), counters = collect(watch, {seen.pid})
    load = report.last.load
    assert (seen.errno, load.errno, load.start, load.seccomp) == (errno, errno, None, True)
    assert load.name == "filtered"
    assert counters.seen == counters.emitted


def test_pid_is_that_of_the_own_namespace() -> None:
    """Processes of namespaces below have a number in our own as well."""
    one, by_pid, (below,) = odd_loads.call_in_new_pid_namespace(odd_loads.watch_in_pid_namespace)
    assert by_pid == [one]
    assert 1 < one < below < 100


def test_a_log_by_common_attributes_is_read(watch: LoadWatch) -> None:
    """Newer kernels take a log there (seen on Linux v7.2); to an older one it is no such command."""
    watch.start(LoadFilter())
    seen = odd_loads.load_by_common_attrs(loads.REFUSED[0][0])
    (report,), _ = collect(watch, {seen.pid})
    loads.assert_agrees(report, seen)
    assert (seen.errno, bool(seen.log)) in {(errnos.EACCES, True), (errnos.EINVAL, False)}


def traces() -> tuple[list[list[int]], list[str]]:
    """What a run could leave behind: BPF objects, and kprobes, those of perf events included."""
    probes = Path("/sys/kernel/debug/kprobes/list").read_text().splitlines()
    return [list(bpf.ids(kind)) for kind in ("prog", "map", "link")], [line.split()[2] for line in probes]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_after_a_signal(watch: LoadWatch, number: signal.Signals) -> None:
    """A child runs it, which has imported everything already."""
    before = traces()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(writing, 1)
            sys.stdout = os.fdopen(1, "w")
            code = cli.run(["verifier-log", "watch", "--max-log", "0", "-o", "jsonl"])
            sys.stdout.flush()
            os._exit(code)
        finally:
            os._exit(99)
    os.close(writing)
    with os.fdopen(reading) as out:
        assert json.loads(out.readline())["type"] == "header"
        functions = {place.partition("+")[0] for place in traces()[1]}
        assert "verbose" in functions
        os.kill(child, number)
        rest = [json.loads(line) for line in out]
    _, status = os.waitpid(child, 0)
    if number is signal.SIGKILL:
        assert (os.WTERMSIG(status), rest) == (signal.SIGKILL, [])
    else:
        assert os.waitstatus_to_exitcode(status) == ExitCode.INTERRUPTED
        assert [(line["type"], line["ended"]) for line in rest] == [("summary", "signal")]
    deadline = time.monotonic() + 30
    while traces() != before and time.monotonic() < deadline:
        time.sleep(0.5)
    assert traces() == before
