# SPDX-License-Identifier: GPL-2.0-or-later
"""What the lines of a log are (kernel/bpf/verifier.c and log.c, from 5.x on)."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

from kprobe_tool.probes.verifier.log.noise import is_loader


class EntryKind(Enum):
    """The kinds of lines."""

    INSN = auto()
    """``7: (79) r0 = *(u64 *)(r0 +8)    ; R0=scalar()``: an instruction, and what it changed."""
    STATE = auto()
    """``7: R0=scalar() R10=fp0``: the registers before an instruction."""
    FROM = auto()
    """``from 3 to 7: R0=0``: the verifier goes back to a branch that it left for later."""
    SAFE = auto()
    """``7: safe``: the path is pruned, since a state like this one was verified before."""
    SOURCE = auto()
    """``; x = y; @ prog.c:12``"""
    TRAILER = auto()
    """``processed 7 insns ...`` and the other statistics."""
    LOADER = auto()
    NOISE = auto()
    BLANK = auto()
    TEXT = auto()
    """Anything else: perhaps the message."""


class LogEntry(NamedTuple):
    """One line, or a part of one: kernels sometimes print two things on a line, without a newline between them.

    ``insn`` is an instruction's index and ``code`` its opcode, ``text`` the disassembly or the line, ``state`` the
    registers as text; ``origin`` of a FROM is the instruction that branched; ``file`` and ``line`` are those of a
    SOURCE, which kernels print from 6.10 on.
    """

    kind: EntryKind
    text: str
    insn: int | None = None
    code: int = 0
    state: str = ""
    origin: int | None = None
    file: str | None = None
    line: int | None = None


INSN = re.compile(r"(\d{1,7}): \(([0-9a-f]{2})\) (.*)", re.DOTALL)
NEXT_STATE = re.compile(r" (\d{1,7}:(?: frame\d{1,2}:)? (?:R\d{1,2}|fp-\d{1,4})(?:_\w{1,4})?=.*)", re.DOTALL)
"""On the line of a jump or call, the registers at the instruction where it goes on."""
JUMP = re.compile(r"((?:if .{3,60} |may_|gotol? |goto_or_nop |)goto (?:pc)?[+-]\d{1,7})(?: +(.*))?", re.DOTALL)
STATE = re.compile(r"(\d{1,7}):((?: frame\d{1,2}:)?(?: (?:R\d|fp-|refs=|cb).*)?)", re.DOTALL)
OLD_STATE = re.compile(r" ?(?:frame\d{1,2}: ?)?R\d{1,2}(?:_\w{1,4})?=", re.DOTALL)
FROM = re.compile(r"from (\d{1,7}) to (\d{1,7})(?: \(speculative execution\))?(?: async_cb)?:(.*)", re.DOTALL)
SAFE = re.compile(r"(\d{1,7}): safe")
CUT = re.compile(r"\d{1,7}(?:: ?(?:\([0-9a-f]{0,2}\)?)?)?")
"""The beginning of an instruction, cut off where the loader's buffer was full."""
LOCATION = re.compile(r"(.*) @ ([^@]{1,255}):(\d{1,9})", re.DOTALL)
INDENT_MAX = 80
"""Blanks that may stand before the verifier's last line: people indent what they paste."""
STATE_REST = re.compile(
    r"\S{0,80}(?: (?:R\d{1,2}|fp-\d{1,4})(?:_\w{1,4})?=\S{1,200}(?:; \S{1,40})?){1,40} ?(?:(?:R|fp-)\w{0,8}=?)?"
)
"""What a terminal has made a line of its own: the rest of a line of registers."""
FENCE = "```"
"""Before and behind a log in Markdown."""
ELLIPSIS = re.compile(
    r"\s{0,80}(?:\.{2,80}|\u2026|[\[<(](?:\.{2,4}|\u2026|snip|cut|skipped|truncated|omitted)[\])>])\s{0,80}"
)
"""Where somebody has left something out."""
LAST_LINE = re.compile(r"(?:processed \d{1,9} insns \(limit |verification time \d{1,12} usec).*", re.DOTALL)
SUBPROG = re.compile(r"subprog \d{1,6} \(")

TRAILERS = ("verification time ", "stack depth ", "insns processed ")
NOISE = (
    FENCE,
    "func#",
    "Func#",
    "last_idx ",
    "regs=",
    "parent ",
    "mark_precise:",
    "force_precise:",
    "propagating ",
    *(f"frame {number}:" for number in range(16)),
    "Live regs before insn",
    "cur state:",
    "old state:",
    "Validating ",
    "stack use/def",
    "topo_order[",
    "subprog#",
    "SCC ",
    "REG INVARIANTS VIOLATION",
    "marking pointer arg",
    "signature verification passed",
    "CO-RE relocating",
    "caller:",
    "callee:",
    "returning from callee:",
    "to caller at ",
    "Note, BPF_LSM_CGROUP that attach",
    "arg JOIN",
    "reg type unsupported for arg#",
    "max_states_per_insn",
    "(truncated...)",
)
"""How lines begin that the verifier writes about its own work, and never about why a program was rejected."""
REMARK = re.compile(r"arg#\d{1,2} reference type\('.{0,200}'\) size cannot be determined: -?\d{1,5}")
"""Printed while the kernel checks a function as a global one. It then treats it as a static one, so this is not why
the program was rejected."""


def parse_line(text: str) -> tuple[LogEntry, ...]:
    """The entries of a cleaned line: nearly always one."""
    first = text[:1]
    # Nearly all lines are these.
    if first.isdigit():
        return parse_numbered_line(text)
    if text.startswith("mark_precise: "):
        return (LogEntry(EntryKind.NOISE, text),)
    if not text or text.isspace() or ELLIPSIS.fullmatch(text):
        return (LogEntry(EntryKind.BLANK, text),)
    if first == ";":
        return (parse_source(text),)
    if text.startswith("from "):
        found = FROM.fullmatch(text)
        if found is not None:
            kind = EntryKind.SAFE if found[3] == " safe" else EntryKind.FROM
            return (LogEntry(kind, text, int(found[2]), state=found[3].strip(), origin=int(found[1])),)
    if "processed " in text[:INDENT_MAX] and " insns" in text and text.lstrip().startswith("processed "):
        return (LogEntry(EntryKind.TRAILER, text.lstrip()),)
    if text.startswith(TRAILERS) or SUBPROG.match(text):
        return (LogEntry(EntryKind.TRAILER, text),)
    if OLD_STATE.match(text):
        return (LogEntry(EntryKind.STATE, text, state=text.strip()),)
    if first == " " or text.startswith(NOISE) or REMARK.fullmatch(text) or STATE_REST.fullmatch(text):
        return (LogEntry(EntryKind.NOISE, text),)
    if is_loader(text):
        return (LogEntry(EntryKind.LOADER, text),)
    return parse_message(text)


def parse_message(text: str) -> tuple[LogEntry, ...]:
    """A line that may be a message. Some have no newline, and the verifier's last line follows them."""
    last = LAST_LINE.search(text) if "processed " in text or "verification time " in text else None
    if last is None:
        return (LogEntry(EntryKind.TEXT, text),)
    return (*parse_line(text[: last.start()].rstrip()), LogEntry(EntryKind.TRAILER, last[0]))


def parse_numbered_line(text: str) -> tuple[LogEntry, ...]:
    """The entries of a line that begins with a digit."""
    found = INSN.fullmatch(text)
    if found is not None:
        return parse_insn(text, int(found[1]), int(found[2], 16), found[3])
    found = SAFE.fullmatch(text)
    if found is not None:
        return (LogEntry(EntryKind.SAFE, text, int(found[1])),)
    found = STATE.fullmatch(text)
    if found is not None:
        return (LogEntry(EntryKind.STATE, text, int(found[1]), state=found[2].strip()),)
    return (LogEntry(EntryKind.NOISE, text),) if CUT.fullmatch(text) else parse_message(text)


def parse_insn(text: str, insn: int, code: int, rest: str) -> tuple[LogEntry, ...]:
    """An instruction with the registers it changed, and what else the kernel has put on its line."""
    # A blank stands before the semicolon that separates, and none before one within a state: var_off=(0x0; 0xf).
    semicolon = rest.find(" ;")
    if semicolon >= 0:
        return (LogEntry(EntryKind.INSN, rest[:semicolon].rstrip(), insn, code, rest[semicolon + 2 :].strip()),)
    elsewhere = NEXT_STATE.search(rest) if "=" in rest else None
    if elsewhere is not None:
        return (LogEntry(EntryKind.INSN, rest[: elsewhere.start()].rstrip(), insn, code), *parse_line(elsewhere[1]))
    jump = JUMP.fullmatch(rest) if "goto" in rest else None
    if jump is not None and jump[2]:
        return (LogEntry(EntryKind.INSN, jump[1], insn, code), *parse_line(jump[2]))
    return (LogEntry(EntryKind.INSN, rest.rstrip(), insn, code),)


def parse_source(text: str) -> LogEntry:
    """A line of source, with file and number where the kernel prints them."""
    # A line that the compiler made has no text before these.
    found = LOCATION.fullmatch(f" {text[1:].strip()}")
    if found is None:
        return LogEntry(EntryKind.SOURCE, text[1:].strip())
    return LogEntry(EntryKind.SOURCE, found[1].strip(), file=found[2], line=int(found[3]))
