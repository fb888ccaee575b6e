# SPDX-License-Identifier: GPL-2.0-or-later
"""The statistics in a verifier log: instructions, states, time, stack, and the lines of source that cost most.

The lines are those of print_verification_stats() in kernel/bpf/verifier.c, which has had three forms:
``stack depth 8+0`` of each subprogram (Linux v5.2 and later), with ``insns processed`` of main and each global
function (seen in v7.2), and a line for each ``subprog`` (v7.3). All but ``processed`` need BPF_LOG_STATS.
"""

from __future__ import annotations

import mmap
import os
import re
from collections import Counter
from dataclasses import dataclass

from kprobe_tool import files
from kprobe_tool.errors import Error
from kprobe_tool.probes.verifier.log.wrapping import Data

TAIL = 1 << 20
"""Bytes at the end of a log in which the statistics are looked for: 256 subprograms and a native block fit."""

PIPE_MAX = 1 << 28
"""Bytes that are read of a pipe; a file is mapped instead, whatever its size."""

LINE_MAX = 1 << 20
"""Bytes of a line, of which the verifier writes at most BPF_VERIFIER_TMP_LOG_SIZE (1024) at a time."""

PROCESSED = re.compile(
    rb"processed (\d+) insns \(limit (\d+)\) max_states_per_insn (\d+) total_states (\d+) peak_states (\d+)"
)
TIME = re.compile(rb"verification time (\d+) usec")
STACK = re.compile(rb"stack depth (?:(\d+(?:\+\d+)*))?(?: ?max (\d+))?")
ROOTS = re.compile(rb"insns processed (\d+(?:\+\d+)*)")
SUBPROG = re.compile(
    rb"subprog (\d+) \(([^\n)]*)\) (main|static|global) insns_self (\d+) insns_total (\d+) stack (\d+)"
)

# An instruction; a line of source, before the instructions made from it, with ``@ file:line`` since Linux v6.10; or
# an instruction at which the path was pruned, since a state like this one is known to be safe.
LINE = re.compile(rb"^(?:\d+: \([0-9a-f]{2}\)|; ([^\r\n]*)|((?:from )?\d[0-9a-z ]*: safe$))", re.MULTILINE)
START = re.compile(rb"^\d+: (?:R\d|frame)", re.MULTILINE)
"""The state that verification starts with. Before it, kernels from v7.0 or so on list all instructions at level 2."""
SOURCE = re.compile(rb"(.*?)\s*@ (\S[^@]*):(\d+)(?::\d+)?")

SOURCE_MAX = 512
"""Bytes of a source line that are kept."""
LINES_MAX = 1 << 16
"""Different source lines that are counted."""

NAMELESS = "<unknown>"


@dataclass(frozen=True)
class Subprogram:
    """One function of a program.

    ``kind`` is main, static or global; ``insns_self`` counts its own instructions as often as they were verified,
    ``insns_total`` those with what it calls; ``stack`` is in bytes. None is what this kernel does not print.
    """

    index: int
    name: str | None
    kind: str | None
    insns_self: int | None
    insns_total: int | None
    stack: int | None


@dataclass(frozen=True)
class HotLine:
    """A line of source, and how often instructions made from it were verified. Linux prints the file since v6.10."""

    file: str | None
    line: int | None
    source: str
    insns: int


@dataclass(frozen=True)
class Stats:
    """The statistics of one log; None is what it does not hold.

    ``insns_shown`` is how many instructions the log shows: at level 2 all that were processed but ``insns_pruned``,
    at level 1 those on the path to the rejection. ``lines`` counts them by line of source, the hottest first.
    ``stack_depth`` is the deepest stack in bytes.
    """

    insns_processed: int | None
    insns_limit: int | None
    max_states_per_insn: int | None
    total_states: int | None
    peak_states: int | None
    verification_time_us: int | None
    stack_depth: int | None
    subprograms: tuple[Subprogram, ...]
    insns_shown: int
    insns_pruned: int
    lines: tuple[HotLine, ...]


def decode_text(raw: bytes) -> str:
    return raw[:SOURCE_MAX].decode("utf-8", "replace").rstrip()


def last_match(pattern: re.Pattern[bytes], data: bytes) -> re.Match[bytes] | None:
    """The last match: a log can hold those of several attempts."""
    found = None
    for match in pattern.finditer(data):
        found = match
    return found


def parse_numbers(raw: bytes) -> list[int]:
    return [int(part) for part in raw.split(b"+")]


def parse_subprograms(tail: bytes, depths: list[int], roots: list[int]) -> tuple[Subprogram, ...]:
    lines = {int(match[1]): match for match in SUBPROG.finditer(tail)}
    if lines:
        return tuple(
            Subprogram(
                index,
                None if decode_text(match[2]) == NAMELESS else decode_text(match[2]),
                match[3].decode(),
                int(match[4]),
                int(match[5]),
                int(match[6]),
            )
            for index, match in sorted(lines.items())
        )
    # ``insns processed`` has main first, then the global functions, and does not say which those are.
    main = roots[0] if roots else None
    return tuple(
        Subprogram(index, None, None if index else "main", None, None if index else main, depth)
        for index, depth in enumerate(depths)
    )


def hot_lines(data: Data) -> tuple[int, int, tuple[HotLine, ...]]:
    """(instructions shown, instructions pruned, shown ones by line of source).

    The kernel writes a line of source where it changes, so an instruction belongs to the last one written.
    """
    counts: Counter[bytes] = Counter()
    shown = pruned = 0
    here: bytes | None = None
    start = START.search(data)
    for match in LINE.finditer(data, start.start() if start else 0):
        if (source := match[1]) is not None:
            here = source[:SOURCE_MAX] if len(counts) < LINES_MAX or source[:SOURCE_MAX] in counts else None
            continue
        if match[2] is not None:
            pruned += 1
            continue
        shown += 1
        if here is not None:
            counts[here] += 1
    lines = [hot_line(source, insns) for source, insns in counts.items()]
    return (
        shown,
        pruned,
        tuple(sorted(lines, key=lambda line: (-line.insns, line.file or "", line.line or 0, line.source))),
    )


def hot_line(source: bytes, insns: int) -> HotLine:
    match = SOURCE.fullmatch(source)
    if match is None:
        return HotLine(None, None, decode_text(source), insns)
    return HotLine(decode_text(match[2]), int(match[3]), decode_text(match[1]), insns)


def parse_stats(data: Data, *, lines: bool = True) -> Stats:
    """The statistics in a log. For ``lines`` all of it is read, for the others only its end."""
    tail = bytes(data[max(0, len(data) - TAIL) :])
    processed, time, stack, roots = (last_match(pattern, tail) for pattern in (PROCESSED, TIME, STACK, ROOTS))
    depths = parse_numbers(stack[1]) if stack and stack[1] else []
    functions = parse_subprograms(tail, depths, parse_numbers(roots[1]) if roots else [])
    shown, pruned, hot = hot_lines(data) if lines else (0, 0, ())

    def number_in(match: re.Match[bytes] | None, group: int) -> int | None:
        return int(match[group]) if match and match[group] is not None else None

    return Stats(
        insns_processed=number_in(processed, 1),
        insns_limit=number_in(processed, 2),
        max_states_per_insn=number_in(processed, 3),
        total_states=number_in(processed, 4),
        peak_states=number_in(processed, 5),
        verification_time_us=number_in(time, 1),
        stack_depth=number_in(stack, 2),
        subprograms=functions,
        insns_shown=shown,
        insns_pruned=pruned,
        lines=hot,
    )


HEAD = 4096
"""Bytes at the beginning in which a zero byte shows that a file is no text. At the end of a log zeros are possible:
the rest of the buffer that it was in."""


def read_log(data: Data, subject: str) -> Stats:
    """The statistics of a log. Raises Error for anything else; what is not even text is not read to its end."""
    if b"\0" in data[:HEAD]:
        raise Error(subject, "holds no statistics of the BPF verifier: it begins with bytes that are no text")
    at = 0
    while len(data) - at > LINE_MAX:
        end = data.rfind(b"\n", at, at + LINE_MAX)
        if end < 0:
            raise Error(subject, f"holds a line longer than {LINE_MAX >> 20} MiB: no log of the BPF verifier has one")
        at = end + 1
    found = parse_stats(data)
    if found.insns_processed is None and not found.insns_shown:
        raise Error(
            subject, "holds no statistics of the BPF verifier", hint="give the log of a load, at level 1, 2 or 4"
        )
    return found


def read_file(path: str) -> Stats:
    """The statistics of a log in a file, which is mapped where it can be. Raises Error."""
    with files.open_input(path) as file:
        if os.fstat(file.fileno()).st_size == 0:
            # Also what is no regular file: a pipe, standard input.
            return read_log(files.read_open(file, path, PIPE_MAX), path)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return read_log(data, path)
