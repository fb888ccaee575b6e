# SPDX-License-Identifier: GPL-2.0-or-later
"""A verifier log explained, from its tail.

The end of a log has what the program was rejected for; what led there is read backwards from it, as far as needed.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from kprobe_tool.errors import Error
from kprobe_tool.probes.verifier.diagnosis import Diagnosis, Lost, Outcome, Place, Truncation
from kprobe_tool.probes.verifier.explaining.causal import CausalPath, follow
from kprobe_tool.probes.verifier.explaining.errnos import explain_errno
from kprobe_tool.probes.verifier.log import diagnostics
from kprobe_tool.probes.verifier.log.lines import REMARK, Entry, Kind, entries
from kprobe_tool.probes.verifier.log.noise import EDGE, program_and_errno
from kprobe_tool.probes.verifier.log.path import Path, walk
from kprobe_tool.probes.verifier.log.tail import Data, backwards, head
from kprobe_tool.probes.verifier.messages.row import Match
from kprobe_tool.probes.verifier.messages.table import match

END_MAX = 2000
"""Lines from the end in which the verifier's last words are looked for; loaders say little after them."""
RUN_MAX = 20_000
"""Lines that are taken for messages and blocks, at the most."""
PROGRAM = frozenset({Kind.INSN, Kind.STATE, Kind.FROM, Kind.SAFE, Kind.SOURCE})
"""Lines about the program itself: no message is before the last of them."""
OURS = PROGRAM | {Kind.TRAILER}
HEAD_MAX = 64
"""Lines from the beginning that are looked at."""
BOUNDS = "Access outside bounds"
"""The problem whose figures a kernel prints in a line before the message."""
BLOCKS_MAX = 64
"""Diagnoses that are passed on; thousands would help nobody."""

TAIL_MAX = 1 << 22
"""Bytes of a pipe that are kept."""
GROW = "Load with a larger log buffer: 16 MiB is enough for most (libbpf: kernel_log_size; bpf(2): log_size)"


@dataclass(frozen=True)
class Last:
    """The end of a log: the lines after the program's last one, whether the verifier finished, what comes before."""

    run: Sequence[str]
    finished: bool
    before: Iterator[Entry]
    settled: bool


def explain_bytes(log: bytes, errno: str | None = None) -> Diagnosis:
    """What a log in memory says. ``errno`` is the name of the error that the load ended with, where it is known.

    A program that was accepted has outcome ACCEPTED. Raises Error for what is no log, unless an errno says that a
    load has failed: then the text must be one.
    """
    return explain(log, errno)


def explain_file(path: str, errno: str | None = None) -> Diagnosis:
    """The same for a file of any length, of which only the end is read. Raises Error, OSError."""
    with open(path, "rb") as file:
        return explain_fd(file.fileno(), errno)


def explain_fd(fd: int, errno: str | None = None) -> Diagnosis:
    """The same for what is open: a file is mapped, of a pipe the end is kept. Raises Error, OSError."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_size == 0:
        return explain(read_tail(fd), errno)
    with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as data:
        return explain(data, errno)


def read_tail(fd: int) -> bytes:
    """The end of what a pipe has: TAIL_MAX bytes at the least, if it has so many. Raises OSError."""
    kept = bytearray()
    while chunk := os.read(fd, 1 << 16):
        kept += chunk
        if len(kept) > 2 * TAIL_MAX:
            del kept[: len(kept) - TAIL_MAX]
    return bytes(kept)


def explain(data: Data, errno: str | None) -> Diagnosis:
    """What a log says, in memory or mapped."""
    size = len(data)
    edges = data[:EDGE] + (data[max(EDGE, size - EDGE) :] if size > EDGE else b"")
    program, loader_errno = program_and_errno(edges.decode("utf-8", "replace"))
    errno = errno or loader_errno
    if not edges.strip(b"\0 \t\r\n"):
        return explain_errno(errno)
    last = read_end(data)
    if not last.settled and errno is None and not recognisable(last.run, data):
        raise Error("log", "this is no log of the BPF verifier", hint="give the text that the kernel wrote")
    diagnosis = judge(last, data, errno)
    return replace(diagnosis, errno=errno, program=program, truncated=truncation(data, last, diagnosis, errno))


def recognisable(run: Sequence[str], data: Data) -> bool:
    """Whether text without a single line about a program is a log all the same."""
    return any(text.startswith(diagnostics.HEADER) or match(text) is not None for text in run[-END_MAX:]) or any(
        entry.kind in OURS for text in head(data, HEAD_MAX) for entry in entries(text)
    )


def read_end(data: Data) -> Last:
    """The lines behind the program's last one: messages and diagnostics, without what loaders add."""
    walked = backwards(data)
    run: list[str] = []
    finished = settled = False
    for count, entry in enumerate(walked):
        if entry.kind is Kind.TRAILER:
            # What stands behind it is the loader's.
            if not finished:
                run.clear()
            finished = settled = True
        elif entry.kind in PROGRAM:
            return Last(run[::-1], finished, chain((entry,), walked), True)
        elif entry.kind is Kind.LOADER:
            if "BEGIN PROG LOAD LOG" in entry.text:
                return Last(run[::-1], finished, iter(()), True)
            if "END PROG LOAD LOG" in entry.text:
                run.clear()
                settled = True
        elif entry.kind is not Kind.NOISE or entry.text[:1] == " " or REMARK.fullmatch(entry.text):
            run.append(entry.text)
        if count >= RUN_MAX:
            break
    return Last(run[::-1], finished, iter(()), settled)


def judge(last: Last, data: Data, errno: str | None) -> Diagnosis:
    """The diagnosis of the lines at the end, with the path that led there."""
    parts = diagnostics.split(last.run)
    blocks = [part for part in parts if isinstance(part, diagnostics.Block)]
    if any(block.category for block in blocks):
        return from_blocks(parts)
    texts = [part for part in parts if isinstance(part, str) and part.strip() and part[:1] != " "]
    matches = [(text, found) for text in texts if (found := match(text)) is not None]
    causes = [each for each in matches if not each[1].row.detail]
    path = walk(last.before)
    if causes or matches:
        text, found = choose(causes or matches)
        details = tuple(each for each in texts if each != text)
        figures = [each.reason() for _, each in matches if each.row.detail and each.group.problem == BOUNDS]
        diagnosis = from_message(text, found, details, path)
        if figures and found.group.problem == BOUNDS and not found.row.detail:
            return replace(diagnosis, reason=f"{diagnosis.reason} {figures[-1]}")
        return diagnosis
    if blocks:
        return rest_of_block(blocks[0])
    messages = [text for text in texts if not REMARK.fullmatch(text)] or texts
    # A log that was cut off ends anywhere, and what stands there is rather half a line than a message nobody knows.
    if messages and (last.finished or errno != "ENOSPC"):
        return unrecognised(messages[-1], tuple(messages[:-1]), path)
    return silent(last, path, data, errno)


def choose(matches: Sequence[tuple[str, Match]]) -> tuple[str, Match]:
    """The message that names the cause: the first, or what sums it up; a breach of bounds is told by its own."""
    first = matches[0]
    if first[1].group.problem == BOUNDS:
        return first
    return next((each for each in matches if each[1].row.sums_up), first)


def from_blocks(parts: Sequence[diagnostics.Block | str]) -> Diagnosis:
    """The kernel's own diagnostics, unchanged; each with the message before it."""
    found: list[Diagnosis] = []
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            if part.strip():
                texts.append(part)
            continue
        matches = [(text, each) for text in texts if (each := match(text)) is not None]
        causes = [each for each in matches if not each[1].row.detail]
        text, row = choose(causes) if causes else (texts[-1] if texts else None, None)
        found.append(
            Diagnosis(
                outcome=Outcome.REJECTED,
                native=True,
                recognised=True,
                category=part.category,
                problem=part.problem,
                message=text,
                reason=part.reason,
                place=part.at.place,
                label=part.at.message or None,
                path=part.path,
                lock=part.lock,
                suggestion=part.suggestion,
                rule=row.row.rule if row is not None else None,
                details=tuple(each for each in texts if each != text),
            )
        )
        texts = []
        if len(found) > BLOCKS_MAX:
            break
    first = found[0]
    return replace(first, details=(*first.details, *texts), others=tuple(found[1:]))


def rest_of_block(block: diagnostics.Block) -> Diagnosis:
    """The kernel's own diagnostics without their beginning."""
    return Diagnosis(
        outcome=Outcome.REJECTED,
        native=True,
        recognised=False,
        category=None,
        problem=None,
        message=None,
        reason=block.reason or "what the verifier found is lost; this is the rest of its diagnostics",
        place=block.at.place,
        label=block.at.message or None,
        path=block.path,
        lock=block.lock,
        suggestion=block.suggestion,
    )


def from_message(text: str, found: Match, details: tuple[str, ...], path: Path) -> Diagnosis:
    """Our own diagnosis, from a message that the table has."""
    causal_path = follow(found, path)
    return Diagnosis(
        outcome=Outcome.REJECTED,
        native=False,
        recognised=True,
        category=found.group.category,
        problem=found.group.problem,
        message=text,
        reason=found.reason(),
        place=place_of(found, path),
        path=causal_path.steps,
        suggestion=found.suggestion(),
        rule=found.row.rule,
        details=details,
        notes=notes_of(found, path, causal_path),
    )


def place_of(found: Match, path: Path) -> Place:
    """Where it is: the instruction that the message names, or the last one that was looked at."""
    at = found.fields.get("at")
    if at is None:
        return path.last_place()
    return path.place_at(int(at)) or Place(insn=int(at))


def notes_of(found: Match, path: Path, causal_path: CausalPath) -> tuple[str, ...]:
    """What this log could not tell."""
    notes = list(causal_path.notes)
    if not path.visits and "at" not in found.fields:
        notes.append("the log has no instructions, so neither the place nor the path can be told")
    return tuple(notes)


def unrecognised(text: str, details: tuple[str, ...], path: Path) -> Diagnosis:
    """A message of no known wording: repeated, with its place, and nothing made up."""
    return Diagnosis(
        outcome=Outcome.REJECTED,
        native=False,
        recognised=False,
        category=None,
        problem=None,
        message=text,
        reason=f"unrecognised message: {text}",
        place=path.last_place(),
        details=details,
    )


def silent(last: Last, path: Path, data: Data, errno: str | None) -> Diagnosis:
    """A log without a message: the program was accepted, or the message is missing."""
    if last.finished and errno not in {None, "ENOSPC"}:
        return replace(explain_errno(errno), recognised=False, notes=("the log gives no reason for this error",))
    if last.finished:
        return Diagnosis(
            outcome=Outcome.ACCEPTED,
            native=False,
            recognised=True,
            category=None,
            problem=None,
            message=None,
            reason="The verifier finished and found nothing wrong: the program was accepted.",
        )
    return Diagnosis(
        outcome=Outcome.UNKNOWN,
        native=False,
        recognised=False,
        category=None,
        problem=None,
        message=None,
        reason="The log ends before the verifier says what is wrong.",
        place=path.last_place(),
        notes=(f"the {len(data)} bytes of this log end while instructions are still being checked",),
    )


def truncation(data: Data, last: Last, diagnosis: Diagnosis, errno: str | None) -> Truncation | None:
    """What is missing from a log: its end on kernels before 6.4, its beginning since then."""
    size = len(data)
    if diagnosis.outcome is Outcome.UNKNOWN:
        return Truncation(Lost.TAIL, size, None, f"{GROW}; this one had about {size} bytes and kept the beginning.")
    if (
        errno == "ENOSPC"
        or (diagnosis.native and diagnosis.category is None)
        or (last.finished and cut_at_head(data))
    ):
        return Truncation(
            Lost.HEAD,
            size,
            None,
            f"{GROW}; this one kept the last {size} bytes. Since Linux v6.4 log_true_size tells what is needed.",
        )
    return None


def cut_at_head(data: Data) -> bool:
    """Whether a log begins in the middle of something: with another instruction than the first, and no state."""
    for text in head(data, HEAD_MAX):
        for entry in entries(text):
            if entry.kind is Kind.STATE or entry.text.startswith("Validating "):
                return False
            if entry.kind is Kind.INSN:
                return entry.insn != 0
    return False
