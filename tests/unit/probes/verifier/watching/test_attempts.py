# SPDX-License-Identifier: GPL-2.0-or-later
"""Records put together: logs from their pieces, retries into one report, messages from formats."""

from __future__ import annotations

import errno as errnos
from collections.abc import Sequence

import pytest

from kprobe_tool.native.programs import verifier_watch
from kprobe_tool.probes.verifier.watching import attempts
from kprobe_tool.probes.verifier.watching.attempts import RETRY, Assembler, Attempt, Report, RetryJoiner
from kprobe_tool.probes.verifier.watching.watch import LogSource, explain_report

from ....fake_loads import LOG, SECOND, THREAD, load, message_call, pieces

MS = 1_000_000


def assemble(records: Sequence[bytes], now: int = SECOND) -> list[Attempt]:
    assembler = Assembler()
    for record in records:
        assembler.add(record)
    return list(assembler.take(now))


def long_log(size: int) -> bytes:
    return b"".join(b"%9d\n" % number for number in range(size // 10 + 1))[:size]


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 2049, 2048 + 32768, 2048 + 32769, 300_000])
@pytest.mark.parametrize("header_first", [True, False])
def test_a_log_in_pieces_is_put_together(size: int, header_first: bool) -> None:
    log = long_log(size)
    head, rest = load(SECOND, log, log_size=1 << 20), list(pieces(SECOND, log)) if log else []
    (attempt,) = assemble([head, *rest] if header_first else [*rest[::1], head])
    assert attempt.log == log
    assert (attempt.load.length, attempt.load.captured) == (size, size)


def test_the_tail_comes_through_another_ring() -> None:
    log = long_log(100_000)
    tail, *chunks = pieces(SECOND, log)
    (attempt,) = assemble([*chunks, tail, load(SECOND, log, log_size=1 << 20)])
    assert attempt.log == log


def test_pieces_of_two_threads_are_told_apart() -> None:
    log, other = long_log(50_000), long_log(40_000)[::-1]
    mixed = [
        piece for pair in zip(pieces(SECOND, log), pieces(SECOND, other, thread=5), strict=True) for piece in pair
    ]
    heads = [load(SECOND, log, log_size=1 << 20), load(SECOND, other, log_size=1 << 20, thread=5)]
    assert [attempt.log for attempt in assemble([*heads, *mixed])] == [log, other]


def test_what_has_not_come_is_waited_for_and_not_for_ever() -> None:
    log = long_log(10_000)
    tail, chunk = pieces(SECOND, log)
    assembler = Assembler()
    assembler.add(load(SECOND, log, log_size=1 << 20))
    assembler.add(tail)
    assert list(assembler.take(SECOND)) == []
    assembler.add(chunk)
    assert [attempt.log for attempt in assembler.take(SECOND)] == [log]
    assembler.add(load(2 * SECOND, log, log_size=1 << 20))
    assert list(assembler.take(2 * SECOND)) == []
    (attempt,) = assembler.take(2 * SECOND + attempts.PATIENCE)
    assert attempt.log == b""


def test_a_record_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="Buffer size too small"):
        assemble([load(SECOND)[:-1]])


def test_a_load_that_had_begun_before_has_no_start() -> None:
    raw = verifier_watch.header.from_buffer_copy(load(SECOND))
    raw.start = 0
    (attempt,) = assemble([bytes(raw)])
    assert attempt.load.start is None


def messages_of(start: int) -> list[bytes]:
    return [
        message_call(start, b"R%d invalid %s access '%s'\n", 3, b"mem", b"scalar"),
        message_call(start, b"last\n"),
    ]


def test_messages_make_up_a_log() -> None:
    start = SECOND - SECOND // 1000
    (attempt,) = assemble([*messages_of(start), load(SECOND, messages=2)])
    assert attempt.messages == b"R3 invalid mem access 'scalar'\nlast\n"
    assert attempt.messages_lost == 0
    found = explain_report(Report((attempt,)))
    assert (found.source, found.log) == (LogSource.MESSAGES, attempt.messages)


def test_messages_of_a_load_before_are_not_taken() -> None:
    start = SECOND - SECOND // 1000
    (attempt,) = assemble([*messages_of(start - 5), message_call(start, b"mine\n"), load(SECOND, messages=1)])
    assert attempt.messages == b"mine\n"


def test_many_loads_keep_their_messages_until_they_are_read() -> None:
    times = [number * SECOND for number in range(1, 8)]
    heads = [load(time, messages=1) for time in times]
    heard = [message_call(time - SECOND // 1000, b"%d\n", time) for time in times]
    assert [each.messages for each in assemble([*heads, *heard], 8 * SECOND)] == [
        b"%d\n" % (time % 2**32 - (time % 2**32 >> 31 << 32)) for time in times
    ]


def test_loads_of_a_thread_keep_their_order() -> None:
    """The silent one, of which a message is not there yet, is not overtaken by the one with a log."""
    assembler = Assembler()
    assembler.add(load(SECOND, messages=1))
    for record in (load(SECOND + MS, LOG, log_size=9999), *pieces(SECOND + MS, LOG)):
        assembler.add(record)
    assert list(assembler.take(SECOND)) == []
    assembler.add(message_call(SECOND - SECOND // 1000, b"x\n"))
    assert [each.load.log_size for each in assembler.take(SECOND)] == [0, 9999]


def test_messages_of_accepted_loads_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MESSAGES_MAX", 3)
    assembler = Assembler()
    for thread in range(1, 6):
        assembler.add(message_call(SECOND - SECOND // 1000, b"x\n", thread=thread))
    for thread in range(1, 6):
        assembler.add(load(SECOND, messages=1, thread=thread))
    late = list(assembler.take(SECOND + attempts.PATIENCE))
    assert [attempt.messages_lost for attempt in late] == [1, 1, 0, 0, 0]


def attempt(time: int, log_size: int = 0, errno: int = errnos.EACCES, name: bytes = b"prog") -> Attempt:
    log = b"x" * min(log_size, 5)
    (made,) = assemble([*pieces(time, log), load(time, log, log_size=log_size, errno=errno, name=name)])
    return made


def join_retries(*given: Attempt) -> list[list[int]]:
    """The sizes of the logs in each report."""
    joiner = RetryJoiner()
    reports = [report for each in given for report in joiner.add(each)]
    reports += joiner.take_rest()
    return [[each.load.log_size for each in report.attempts] for report in reports]


@pytest.mark.parametrize(
    ("given", "reports"),
    [
        ([attempt(SECOND), attempt(SECOND + 3 * MS, 99)], [[0, 99]]),
        ([attempt(SECOND), attempt(SECOND + 3 * MS)], [[0], [0]]),
        ([attempt(SECOND), attempt(SECOND + RETRY + 3 * MS, 99)], [[0], [99]]),
        ([attempt(SECOND), attempt(SECOND + 3 * MS, 99, name=b"other")], [[99], [0]]),
        ([attempt(SECOND, 99), attempt(SECOND + 3 * MS, 199)], [[99], [199]]),
        ([attempt(SECOND, 99, errnos.ENOSPC), attempt(SECOND + 3 * MS, 199)], [[99, 199]]),
        (
            [attempt(SECOND), attempt(SECOND + 2 * MS, 99, errnos.ENOSPC), attempt(SECOND + 4 * MS, 199)],
            [[0, 99, 199]],
        ),
        ([attempt(SECOND, 99, errnos.ENOSPC), attempt(SECOND + 3 * MS, 99)], [[99], [99]]),
        ([attempt(SECOND, 0, errnos.EAGAIN), attempt(SECOND + 3 * MS, 0, 0)], [[0, 0]]),
        ([attempt(SECOND, 99, errnos.EAGAIN), attempt(SECOND + 3 * MS, 99)], [[99, 99]]),
        ([attempt(SECOND), attempt(SECOND + 3 * MS, 99), attempt(SECOND + 6 * MS)], [[0, 99], [0]]),
    ],
)
def test_retries_are_one_report(given: list[Attempt], reports: list[list[int]]) -> None:
    assert join_retries(*given) == reports


def test_a_silent_load_is_reported_when_none_can_follow() -> None:
    joiner = RetryJoiner()
    assert list(joiner.add(attempt(SECOND))) == []
    assert list(joiner.take_expired(SECOND + RETRY)) == []
    (report,) = joiner.take_expired(SECOND + RETRY + 1)
    assert report.last.load.time == SECOND
    assert list(joiner.take_rest()) == []


def test_what_is_held_back_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "HELD_MAX", 3)
    joiner = RetryJoiner()
    given = [list(joiner.add(attempt(SECOND, name=b"%d" % number))) for number in range(5)]
    assert [[report.last.load.name for report in each] for each in given] == [[], [], [], ["0"], ["1"]]
    monkeypatch.setattr(attempts, "HELD_BYTES", 9)
    assert [report.last.load.name for report in joiner.add(attempt(SECOND, 5, errnos.ENOSPC, name=b"5"))] == ["2"]
    assert len(list(joiner.add(attempt(SECOND, 5, errnos.ENOSPC, name=b"6")))) == 3


def test_the_line_that_was_cut_is_not_explained() -> None:
    head = load(SECOND, LOG, log_size=9999, captured=len(LOG) - 3, missing="limit")
    (made,) = assemble([head, *pieces(SECOND, LOG[3:])])
    found = explain_report(Report((made,)))
    assert found.log == LOG[3:]
    assert found.diagnosis is not None
    assert found.diagnosis.message == "R2 !read_ok"


def test_the_same_log_is_explained_once() -> None:
    first, second = (
        explain_report(Report(tuple(assemble([load(time, LOG, log_size=9999), *pieces(time, LOG)]))))
        for time in (SECOND, 2 * SECOND)
    )
    assert first.log == second.log
    assert first.diagnosis is not None
    assert first.diagnosis is second.diagnosis


def test_addresses_are_left_out() -> None:
    log = b"0: r1 = 0xffff888100a0b0c0\n" + LOG
    (made,) = assemble([load(SECOND, log, log_size=9999), *pieces(SECOND, log)])
    assert b"0xffff888100a0b0c0" in explain_report(Report((made,))).log
    assert b"0xffff888100a0b0c0" not in explain_report(Report((made,)), redacted=True).log


def test_a_load_has_a_thread_and_a_process() -> None:
    (made,) = assemble([load(SECOND)])
    assert (made.load.pid, made.load.tid, made.load.thread) == (4242, 4243, THREAD)
    assert (made.load.uid, made.load.gid) == (1001, 1000)
