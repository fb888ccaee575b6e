# SPDX-License-Identifier: GPL-2.0-or-later
"""Explains a verifier log, from its end.

The last lines say why the program was rejected; what led there is read backwards from them, as far as needed.
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
from kprobe_tool.probes.verifier.explaining.errnos import explain_errno, explain_too_large
from kprobe_tool.probes.verifier.explaining.gaps import (
    HEAD_MAX,
    diagnose_silence,
    diagnose_unrecognised,
    find_truncation,
)
from kprobe_tool.probes.verifier.log import diagnostics
from kprobe_tool.probes.verifier.log.encodings import decode
from kprobe_tool.probes.verifier.log.lines import ELLIPSIS, REMARK, EntryKind, parse_line
from kprobe_tool.probes.verifier.log.noise import EDGE, FAILED, program_and_errno
from kprobe_tool.probes.verifier.log.path import InsnPath, read_path
from kprobe_tool.probes.verifier.log.tail import entries_backwards, first_lines
from kprobe_tool.probes.verifier.log.wrapping import Data, Wrapping, learn_wrapping
from kprobe_tool.probes.verifier.messages.row import Match
from kprobe_tool.probes.verifier.messages.table import match

END_MAX = 2000
"""Lines from the end in which the verifier's last words are looked for; loaders say little after them."""
VERIFIER_LINES = PROGRAM | {EntryKind.TRAILER}
BOUNDS = "Access outside bounds"
"""The problem of messages before which a kernel prints a line with the figures."""
LEFT_OUT = "something was left out of the log before the message"
BLOCKS_MAX = 64
"""Diagnoses that are passed on; thousands would help nobody."""

TAIL_MAX = 1 << 22
"""Bytes of a pipe that are kept."""
SEVERAL_MAX = 1 << 20
"""Bytes from the end in which there may be more than one log."""
OLDER_LOGS = "the logs of this file are those of its last megabyte; what stands before that was not looked at"
LOGS_MAX = 16
"""Logs of one file that are explained."""
LAST_WORDS = re.compile(rb"processed \d{1,9} insns \(limit [^\n]{0,200}\n?")
FIRST_WORDS = re.compile(rb"\d{1,7}: ?\([0-9a-f]{2}\) |\bR\d{1,2}[ _=]|-- BEGIN ")


def explain_bytes(log: bytes, errno: str | None = None) -> Diagnosis:
    """What a log in memory says. ``errno`` is the name of the error that the load ended with, where it is known.

    A program that was accepted has outcome ACCEPTED. Raises Error for text that does not look like a log; with an
    errno, which says that a load failed, it says what the errno alone means instead.
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
    """What a file says, in memory or mapped: the diagnosis of its last log, with those of the logs before it."""
    data = decode(data)
    if not data[:EDGE].strip(b"\0 \t\r\n") and not data[-EDGE:].strip(b"\0 \t\r\n"):
        return explain_errno(errno)
    wrapping = learn_wrapping(data)
    found = [explain_log(part, errno, wrapping) for part in split_logs(data)]
    rejected = [each for each in found if each.outcome is LogOutcome.REJECTED] or found[-1:]
    last = rejected.pop()
    # The same log may be there more than once: loaders try again, frameworks print it twice.
    others: dict[tuple[object, ...], Diagnosis] = {}
    for other in rejected:
        others.setdefault((other.message, other.place.insn), other)
    others.pop((last.message, last.place.insn), None)
    if not others:
        return last
    notes = (*last.notes, OLDER_LOGS) if len(data) > SEVERAL_MAX else last.notes
    return replace(last, others=(*last.others, *others.values()), notes=notes)


def split_logs(data: Data) -> list[Data]:
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
    end = read_end(entries_backwards(data, wrapping))
    beginning = first_lines(data, HEAD_MAX, wrapping)
    if errno != "ENOSPC" and not end.settled and not looks_like_log(end.run, beginning):
        if errno is None:
            raise Error("log", "this is no log of the BPF verifier", hint="give the text that the kernel wrote")
        return replace(explain_too_large(edges.decode("utf-8", "replace"), explain_errno(errno)), program=program)
    diagnosis = diagnose(end, errno)
    if diagnosis.outcome is LogOutcome.UNKNOWN and errno != "ENOSPC":
        # A summary in one line may stand before what there is of the log.
        summary = [part for text in beginning for part in split_joined_line(text)]
        if summary:
            diagnosis = diagnose(read_end(reversed([each for part in summary for each in parse_line(part)])), errno)
    truncated = diagnosis.truncated or find_truncation(size, beginning, end, diagnosis, errno)
    return replace(diagnosis, errno=errno, program=program, truncated=truncated)


def looks_like_log(run: Sequence[str], beginning: Sequence[str]) -> bool:
    """Whether text without a single line about a program is a log all the same."""
    return any(
        text.startswith(diagnostics.HEADER) or match(text.strip()) is not None for text in run[-END_MAX:]
    ) or any(entry.kind in VERIFIER_LINES for text in beginning for entry in parse_line(text))


def diagnose(end: End, errno: str | None) -> Diagnosis:
    """The diagnosis of the end of a log, with the path that led there."""
    parts = diagnostics.split_blocks(end.run)
    blocks = [part for part in parts if isinstance(part, diagnostics.Block)]
    if any(block.category for block in blocks):
        return diagnose_blocks(parts, read_path(end.before))
    # What is indented belongs to a block that lost its header, unless it is a message that somebody has indented.
    lines = [part for part in parts if isinstance(part, str) and part.strip()]
    texts = [line.strip() for line in lines if line[:1] != " " or match(line.strip()) is not None]
    matches = [(text, found) for text in texts if (found := match(text)) is not None]
    causes = [each for each in matches if not each[1].row.detail]
    path = InsnPath([], LEFT_OUT, False) if end.left_out else read_path(end.before)
    remarks = not causes and all(REMARK.fullmatch(text) for text, _ in matches)
    unknown = [text for text in texts if not REMARK.fullmatch(text)] if remarks else []
    if (causes or matches) and not unknown:
        text, found = choose_message(causes or matches)
        known = {each for each, _ in matches}
        libbpf = found.group.category is Category.LOADER
        details = tuple(each for each in texts if each != text and (each in known or not (libbpf or is_prose(each))))
        figures = [each.reason() for _, each in matches if each.row.detail and each.group.problem == BOUNDS]
        diagnosis = diagnose_message(text, found, details, path)
        if figures and found.group.problem == BOUNDS and not found.row.detail and diagnosis.reason == found.reason():
            return replace(diagnosis, reason=f"{diagnosis.reason} {figures[-1]}")
        return diagnosis
    if blocks:
        return diagnose_headless_block(blocks[0])
    if not path.visits:
        # Nor is what stands before a loader's own words the kernel's.
        last = max((number for number, text in enumerate(texts) if FAILED.search(text)), default=-1)
        texts = texts[last + 1 :]
    messages = [text for text in texts if not REMARK.fullmatch(text)] or texts
    # Where a log was cut off (ENOSPC), its last text is rather half a line than an unknown message.
    if messages and (path.visits or end.settled) and (end.finished or errno != "ENOSPC"):
        return diagnose_unrecognised(messages[-1], tuple(messages[:-1]), path)
    return diagnose_silence(end, path, errno)


def is_prose(text: str) -> bool:
    """Whether a line is somebody's words around a log: it is not ASCII, or marks something left out."""
    return not text.isascii() or ELLIPSIS.fullmatch(text) is not None


def choose_message(matches: Sequence[tuple[str, Match]]) -> tuple[str, Match]:
    """The message that names the cause: the first about an access outside bounds, one that sums up, or the first."""
    first = matches[0]
    if first[1].group.problem == BOUNDS:
        return first
    return next((each for each in matches if each[1].row.sums_up), first)


def diagnose_blocks(parts: Sequence[diagnostics.Block | str], path: InsnPath) -> Diagnosis:
    """The kernel's own diagnostics, unchanged, each with the message before it and, from that, whose fault it is."""
    found: list[Diagnosis] = []
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            if part.strip():
                texts.append(part)
            continue
        matches = [(text, each) for text in texts if (each := match(text)) is not None]
        causes = [each for each in matches if not each[1].row.detail]
        text, row = choose_message(causes) if causes else (texts[-1] if texts else None, None)
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


def diagnose_headless_block(block: diagnostics.Block) -> Diagnosis:
    """The diagnosis from a block of the kernel's own diagnostics that has lost its beginning."""
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


def diagnose_message(text: str, found: Match, details: tuple[str, ...], path: InsnPath) -> Diagnosis:
    """Our own diagnosis of a message that is in the table, with the cause behind it where the log shows one."""
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
    """Whose fault it is, and the evidence: from the cause behind the message, or else from the message alone."""
    if cause is not None and cause.cause_class is not CauseClass.UNKNOWN:
        return cause.cause_class, cause.evidence
    return found.group.cause_class, found.group.evidence


def place_of(found: Match, path: InsnPath) -> Place:
    """The place of the rejection: the instruction that the message names, or the last one on the path."""
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
