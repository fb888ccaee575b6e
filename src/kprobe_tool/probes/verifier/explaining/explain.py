# SPDX-License-Identifier: GPL-2.0-or-later
"""A verifier log explained, from its tail.

The end of a log has what the program was rejected for; what led there is read backwards from it, as far as needed.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from kprobe_tool.errors import Error
from kprobe_tool.probes.verifier.diagnosis import Category, CauseClass, Diagnosis, LogOutcome, Place
from kprobe_tool.probes.verifier.explaining.causal import CausalPath, follow
from kprobe_tool.probes.verifier.explaining.cause import Cause
from kprobe_tool.probes.verifier.explaining.causes import find_cause
from kprobe_tool.probes.verifier.explaining.ending import PROGRAM, End, read_end, split_joined_line
from kprobe_tool.probes.verifier.explaining.errnos import explain_counted, explain_errno
from kprobe_tool.probes.verifier.explaining.gaps import HEAD_MAX, diagnose_silence, diagnose_unrecognised, truncation
from kprobe_tool.probes.verifier.log import diagnostics
from kprobe_tool.probes.verifier.log.encodings import decode
from kprobe_tool.probes.verifier.log.lines import ELLIPSIS, REMARK, EntryKind, entries
from kprobe_tool.probes.verifier.log.noise import EDGE, FAILED, program_and_errno
from kprobe_tool.probes.verifier.log.path import InsnPath, walk
from kprobe_tool.probes.verifier.log.tail import backwards, head
from kprobe_tool.probes.verifier.log.wrapping import Data, Wrapping, learn
from kprobe_tool.probes.verifier.messages.row import Match
from kprobe_tool.probes.verifier.messages.table import match

END_MAX = 2000
"""Lines from the end in which the verifier's last words are looked for; loaders say little after them."""
VERIFIER_LINES = PROGRAM | {EntryKind.TRAILER}
BOUNDS = "Access outside bounds"
"""The problem whose figures a kernel prints in a line before the message."""
LEFT_OUT = "something was left out of the log before the message"
BLOCKS_MAX = 64
"""Diagnoses that are passed on; thousands would help nobody."""

TAIL_MAX = 1 << 22
"""Bytes of a pipe that are kept."""
SEVERAL_MAX = 1 << 20
"""Bytes from the end in which there may be more than one log."""
BEFORE_THEM = "the logs of this file are those of its last megabyte; what stands before that was not looked at"
LOGS_MAX = 16
"""Logs of one file that are explained."""
LAST_WORDS = re.compile(rb"processed \d{1,9} insns \(limit [^\n]{0,200}\n?")
FIRST_WORDS = re.compile(rb"\d{1,7}: ?\([0-9a-f]{2}\) |\bR\d{1,2}[ _=]|-- BEGIN ")


def explain_bytes(log: bytes, errno: str | None = None) -> Diagnosis:
    """What a log in memory says. ``errno`` is the name of the error that the load ended with, where it is known.

    A program that was accepted has outcome ACCEPTED. Raises Error for what is no log, unless an errno says that a
    load has failed: then the text must be one.
    """
    return explain(log, errno)


def explain_fd(fd: int, errno: str | None = None) -> Diagnosis:
    """The same for what is open: a file of any length is mapped, of a pipe the end is kept. Raises Error, OSError."""
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
    """What a file says, in memory or mapped: its last log, and what those before it were rejected for."""
    data = decode(data)
    if not data[:EDGE].strip(b"\0 \t\r\n") and not data[-EDGE:].strip(b"\0 \t\r\n"):
        return explain_errno(errno)
    wrapping = learn(data)
    found = [explain_log(part, errno, wrapping) for part in logs(data)]
    rejected = [each for each in found if each.outcome is LogOutcome.REJECTED] or found[-1:]
    last = rejected.pop()
    # The same log may be there more than once: a loader tries again, a framework prints it twice.
    others: dict[tuple[object, ...], Diagnosis] = {}
    for other in rejected:
        others.setdefault((other.message, other.place.insn), other)
    others.pop((last.message, last.place.insn), None)
    if not others:
        return last
    notes = (*last.notes, BEFORE_THEM) if len(data) > SEVERAL_MAX else last.notes
    return replace(last, others=(*last.others, *others.values()), notes=notes)


def logs(data: Data) -> list[Data]:
    """The logs of a file, one after the other: each ends with the verifier's last words."""
    begin = max(0, len(data) - SEVERAL_MAX)
    ends = [found.end() for found in LAST_WORDS.finditer(data, begin)]
    if ends and not FIRST_WORDS.search(data, ends[-1]):
        ends.pop()
    if not ends:
        return [data]
    cuts = [*([0] if begin == 0 else []), *ends[-LOGS_MAX:], len(data)]
    return [data[first:last] for first, last in pairwise(cuts)]


def explain_log(data: Data, errno: str | None, wrapping: Wrapping) -> Diagnosis:
    """What one log says."""
    size = len(data)
    edges = data[:EDGE] + (data[max(EDGE, size - EDGE) :] if size > EDGE else b"")
    program, loader_errno = program_and_errno(edges.decode("utf-8", "replace"))
    errno = errno or loader_errno
    end = read_end(backwards(data, wrapping))
    beginning = head(data, HEAD_MAX, wrapping)
    if errno != "ENOSPC" and not end.settled and not looks_like_log(end.run, beginning):
        if errno is None:
            raise Error("log", "this is no log of the BPF verifier", hint="give the text that the kernel wrote")
        return replace(explain_counted(edges.decode("utf-8", "replace"), explain_errno(errno)), program=program)
    diagnosis = judge(end, errno)
    if diagnosis.outcome is LogOutcome.UNKNOWN and errno != "ENOSPC":
        # A summary in one line may stand before what there is of the log.
        summary = [part for text in beginning for part in split_joined_line(text)]
        if summary:
            diagnosis = judge(read_end(reversed([each for part in summary for each in entries(part)])), errno)
    truncated = diagnosis.truncated or truncation(size, beginning, end, diagnosis, errno)
    return replace(diagnosis, errno=errno, program=program, truncated=truncated)


def looks_like_log(run: Sequence[str], beginning: Sequence[str]) -> bool:
    """Whether text without a single line about a program is a log all the same."""
    return any(
        text.startswith(diagnostics.HEADER) or match(text.strip()) is not None for text in run[-END_MAX:]
    ) or any(entry.kind in VERIFIER_LINES for text in beginning for entry in entries(text))


def judge(end: End, errno: str | None) -> Diagnosis:
    """The diagnosis of the lines at the end, with the path that led there."""
    parts = diagnostics.split(end.run)
    blocks = [part for part in parts if isinstance(part, diagnostics.Block)]
    if any(block.category for block in blocks):
        return from_blocks(parts, walk(end.before))
    # What is indented belongs to a block that lost its header, unless it is a message that somebody has indented.
    lines = [part for part in parts if isinstance(part, str) and part.strip()]
    texts = [line.strip() for line in lines if line[:1] != " " or match(line.strip()) is not None]
    matches = [(text, found) for text in texts if (found := match(text)) is not None]
    causes = [each for each in matches if not each[1].row.detail]
    path = InsnPath([], LEFT_OUT, False) if end.left_out else walk(end.before)
    remarks = not causes and all(REMARK.fullmatch(text) for text, _ in matches)
    unknown = [text for text in texts if not REMARK.fullmatch(text)] if remarks else []
    if (causes or matches) and not unknown:
        text, found = choose(causes or matches)
        known = {each for each, _ in matches}
        libbpf = found.group.category is Category.LOADER
        details = tuple(each for each in texts if each != text and (each in known or not (libbpf or is_prose(each))))
        figures = [each.reason() for _, each in matches if each.row.detail and each.group.problem == BOUNDS]
        diagnosis = from_message(text, found, details, path)
        if figures and found.group.problem == BOUNDS and not found.row.detail and diagnosis.reason == found.reason():
            return replace(diagnosis, reason=f"{diagnosis.reason} {figures[-1]}")
        return diagnosis
    if blocks:
        return rest_of_block(blocks[0])
    if not path.visits:
        # What stands before a loader's own words is not the kernel's either.
        last = max((number for number, text in enumerate(texts) if FAILED.search(text)), default=-1)
        texts = texts[last + 1 :]
    messages = [text for text in texts if not REMARK.fullmatch(text)] or texts
    # A log that was cut off ends anywhere, and what stands there is rather half a line than a message nobody knows.
    if messages and (path.visits or end.settled) and (end.finished or errno != "ENOSPC"):
        return diagnose_unrecognised(messages[-1], tuple(messages[:-1]), path)
    return diagnose_silence(end, path, errno)


def is_prose(text: str) -> bool:
    """Whether a line is somebody's words around a log: the kernel's are ASCII, and leave nothing out."""
    return not text.isascii() or ELLIPSIS.fullmatch(text) is not None


def choose(matches: Sequence[tuple[str, Match]]) -> tuple[str, Match]:
    """The message that names the cause: one that sums up what stands before it, or else the first.

    Where the first is about an access outside bounds, it is the cause itself, whatever sums it up.
    """
    first = matches[0]
    if first[1].group.problem == BOUNDS:
        return first
    return next((each for each in matches if each[1].row.sums_up), first)


def from_blocks(parts: Sequence[diagnostics.Block | str], path: InsnPath) -> Diagnosis:
    """The kernel's own diagnostics, unchanged; each with the message before it, and whose fault it is by the log."""
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
        details = tuple(each for each in texts if each != text)
        cause_class, evidence = CauseClass.UNKNOWN, None
        if row is not None and text is not None:
            cause_class, evidence = blame(row, find_cause(row, text, details, path))
        found.append(
            Diagnosis(
                outcome=LogOutcome.REJECTED,
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
                cause_class=cause_class,
                evidence=evidence,
                details=details,
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
        outcome=LogOutcome.REJECTED,
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


def from_message(text: str, found: Match, details: tuple[str, ...], path: InsnPath) -> Diagnosis:
    """Our own diagnosis, from a message that the table has, and the cause behind it where the log shows one."""
    causal_path = follow(found, path)
    cause = find_cause(found, text, details, path) or Cause("")
    cause_class, evidence = blame(found, cause)
    category, problem = cause.problem or (found.group.category, found.group.problem)
    return Diagnosis(
        outcome=LogOutcome.REJECTED,
        native=False,
        recognised=True,
        category=category,
        problem=problem,
        message=text,
        reason=cause.reason or found.reason(),
        place=place_of(found, path),
        path=causal_path.events,
        suggestion=cause.suggestion or found.suggestion(),
        rule=found.row.rule,
        details=details,
        notes=notes_of(found, path, causal_path),
        cause_class=cause_class,
        evidence=evidence,
    )


def blame(found: Match, cause: Cause | None) -> tuple[CauseClass, str | None]:
    """Whose fault it is and what tells so: the cause behind the message, or else the message alone."""
    if cause is not None and cause.cause_class is not CauseClass.UNKNOWN:
        return cause.cause_class, cause.evidence
    return found.group.cause_class, found.group.evidence


def place_of(found: Match, path: InsnPath) -> Place:
    """Where it is: the instruction that the message names, or the last one that was looked at."""
    at = found.fields.get("at")
    if at is None:
        return path.last_place()
    return path.place_at(int(at)) or Place(insn=int(at))


def notes_of(found: Match, path: InsnPath, causal_path: CausalPath) -> tuple[str, ...]:
    """What this log could not tell."""
    notes = list(causal_path.notes)
    if not path.visits and "at" not in found.fields:
        why = path.cut or "the log has no instructions"
        notes.append(f"{why}, so neither the place nor the path can be told")
    return tuple(notes)
