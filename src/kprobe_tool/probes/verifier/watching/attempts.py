# SPDX-License-Identifier: GPL-2.0-or-later
"""Records of loads put together: a header with the pieces of its log, and a loader's retries as one report."""

from __future__ import annotations

import errno as errnos
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from kprobe_tool.native.programs import verifier_watch
from kprobe_tool.native.programs.verifier_watch import Load, Piece, PrintedMessage
from kprobe_tool.probes.verifier.watching.kernel_format import format_message

PATIENCE = 2_000_000_000
"""ns to wait for the parts of a load that are still missing from the rings; then it is reported without them."""

MESSAGES_MAX = 4096
"""Loads whose verifier messages are kept. A limit, because those of a load that was accepted are never asked for."""

RETRY = 500_000_000
"""ns within which a load that asks for more log than the one before is the same loader's second try."""

HELD_MAX = 1024
HELD_BYTES = 16 << 20
"""Attempts that wait for a second try, and the bytes of their logs. Beyond that the oldest is reported at once."""


@dataclass(frozen=True)
class Attempt:
    """One BPF_PROG_LOAD. ``log`` is the end of the log, ``messages`` what the verifier said without being asked for
    one."""

    load: Load
    log: bytes = b""
    insns: bytes = b""
    messages: bytes = b""
    messages_lost: int = 0

    @property
    def key(self) -> tuple[int, str, int, int]:
        """What the attempts to load one program have in common."""
        return self.load.thread, self.load.name, self.load.prog_type, self.load.insn_cnt

    @property
    def is_final(self) -> bool:
        """Whether a loader has no reason to try again: it has a log that says why, or succeeded."""
        load = self.load
        return not load.errno or (load.log_size > 0 and load.errno not in {errnos.ENOSPC, errnos.EAGAIN})

    def is_followed_by(self, other: Attempt) -> bool:
        """Whether ``other``, the next load of that key, is a second try: soon, and with more room for a log."""
        begin = other.load.start or other.load.time
        if self.is_final or not 0 <= begin - self.load.time <= RETRY:
            return False
        return other.load.log_size > self.load.log_size or self.load.errno == errnos.EAGAIN


@dataclass(frozen=True)
class Report:
    """The attempts to load one program, the last one last."""

    attempts: tuple[Attempt, ...]

    @property
    def last(self) -> Attempt:
        return self.attempts[-1]


@dataclass
class Pieces:
    """What has come of a load besides its header."""

    tail: bytes = b""
    log: list[bytes] = field(default_factory=list)
    insns: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, piece: Piece) -> None:
        self.size += len(piece.data)
        if piece.kind == verifier_watch.KIND_TAIL:
            self.tail = piece.data
        elif piece.kind == verifier_watch.KIND_LOG:
            self.log.append(piece.data)
        else:
            self.insns.append(piece.data)


class Assembler:
    """Records in, attempts out.

    All pieces of a load are in their rings before its header can be read, so what is kept here is never more than the
    rings can hold.
    """

    def __init__(self) -> None:
        self._loads: dict[tuple[int, int], Load] = {}
        self._pieces: dict[tuple[int, int], Pieces] = {}
        self._messages: OrderedDict[tuple[int, int], list[PrintedMessage]] = OrderedDict()

    def add(self, record: bytes) -> None:
        """Raises ValueError for a record that is none of ours."""
        parsed = verifier_watch.parse(record)
        if isinstance(parsed, Load):
            self._loads[parsed.thread, parsed.time] = parsed
        elif isinstance(parsed, Piece):
            self._pieces.setdefault((parsed.thread, parsed.time), Pieces()).add(parsed)
        else:
            self._add_message(parsed)

    def _add_message(self, message: PrintedMessage) -> None:
        self._messages.setdefault((message.thread, message.start), []).append(message)
        if len(self._messages) > MESSAGES_MAX:
            self._messages.popitem(last=False)

    def take(self, now: int) -> Iterator[Attempt]:
        """The attempts that are complete at ``now`` (CLOCK_MONOTONIC in ns), those of a thread in their order."""
        waiting = set()
        for key, load in list(self._loads.items()):
            pieces = self._pieces.get(key, Pieces())
            messages = self._messages.get((load.thread, load.start or 0), [])
            whole = pieces.size == load.captured + load.insns and len(messages) == load.messages
            if load.thread in waiting or (not whole and now - load.time < PATIENCE):
                waiting.add(load.thread)
                continue
            del self._loads[key]
            self._pieces.pop(key, None)
            self._messages.pop((load.thread, load.start or 0), None)
            yield Attempt(
                load,
                log=b"".join(reversed([pieces.tail, *pieces.log])),
                insns=b"".join(pieces.insns),
                messages=b"".join(format_message(each.format, each.args, each.strings) for each in messages),
                messages_lost=load.messages_lost + load.messages - len(messages),
            )


class RetryJoiner:
    """Attempts in, reports out: at once where nothing can follow, else after RETRY."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[int, str, int, int], Report] = OrderedDict()
        self._bytes = 0

    def add(self, attempt: Attempt) -> Iterator[Report]:
        before = self._release(attempt.key)
        if before is not None and before.last.is_followed_by(attempt):
            # A log that was too small for its buffer is the beginning or end of the one that follows.
            earlier = tuple(replace(each, log=b"", insns=b"") for each in before.attempts)
            report = Report((*earlier, attempt))
        else:
            if before is not None:
                yield before
            report = Report((attempt,))
        if attempt.is_final:
            yield report
            return
        self._held[attempt.key] = report
        self._bytes += len(attempt.log) + len(attempt.insns)
        while len(self._held) > HELD_MAX or self._bytes > HELD_BYTES:
            yield from self._oldest()

    def _release(self, key: tuple[int, str, int, int]) -> Report | None:
        report = self._held.pop(key, None)
        if report is not None:
            self._bytes -= len(report.last.log) + len(report.last.insns)
        return report

    def _oldest(self) -> Iterator[Report]:
        report = self._release(next(iter(self._held)))
        if report is not None:
            yield report

    def take_expired(self, now: int) -> Iterator[Report]:
        """Those that have waited long enough at ``now`` (CLOCK_MONOTONIC in ns)."""
        while self._held and now - next(iter(self._held.values())).last.load.time > RETRY:
            yield from self._oldest()

    def take_rest(self) -> Iterator[Report]:
        """Those that still wait, when nothing more will come."""
        while self._held:
            yield from self._oldest()
