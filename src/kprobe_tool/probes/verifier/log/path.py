# SPDX-License-Identifier: GPL-2.0-or-later
"""The instructions that the verifier walked through up to the rejection.

At level 1 a log holds this one path, since the kernel takes back what it wrote about the others. At level 2 they are
all there, one after the other: ``from A to B`` begins the next one, and the path to A is further up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest

from kprobe_tool.probes.verifier.diagnosis import Line, Place
from kprobe_tool.probes.verifier.log.disasm import Instruction, Operation, parse_instruction
from kprobe_tool.probes.verifier.log.lines import EntryKind, LogEntry
from kprobe_tool.probes.verifier.log.states import parse_state

VISITS_MAX = 10_000
"""Instructions that a path is followed back through."""
ENTRIES_MAX = 30_000
"""Entries of the log that are read for them."""
AROUND = 2
"""Instructions that are shown on either side of a place."""
VALIDATING = re.compile(r"Validating (\w{1,128})\(\) func#")


@dataclass
class PathInsn:
    """One visit of the verifier to an instruction, which can be on the path more than once.

    ``state`` and ``earlier`` are the registers after and before it, as the log prints them, often only some of them;
    ``after`` and ``before`` parse them. ``depth`` is that of the call: 0 for the function in which the program was
    rejected, more for functions that it has called, less for those that called it.
    """

    insn: int
    code: int
    text: str
    state: str = ""
    earlier: str = ""
    source: LogEntry | None = None
    depth: int = 0

    @property
    def after(self) -> Mapping[str, str]:
        return parse_state(self.state).values

    @property
    def before(self) -> Mapping[str, str]:
        return parse_state(self.earlier).values

    @property
    def instruction(self) -> Instruction:
        return parse_instruction(self.text)

    def place(self) -> Place:
        source = self.source
        return Place(
            insn=self.insn,
            file=source.file if source else None,
            line=source.line if source else None,
            source=(source.text or None) if source else None,
            instruction=f"({self.code:02x}) {self.text}",
        )


@dataclass
class InsnPath:
    """The visits, oldest first. ``cut`` says why there are no older ones; None if the path begins with the program.

    ``has_states`` is false where the log prints no registers. ``function`` is the global function that is checked on
    its own here: then the path begins at its entry. ``stopped`` is the state before the message, where a log has that
    and no instruction.
    """

    visits: list[PathInsn]
    cut: str | None
    has_states: bool
    function: str | None = None
    stopped: str = ""

    def last_place(self) -> Place:
        """The instruction at which the verifier stopped, with what stands around it."""
        return self.place_of(len(self.visits) - 1) if self.visits else Place()

    def place_at(self, insn: int) -> Place | None:
        """The same for the last visit of an instruction, or None where the path does not have it."""
        for number in range(len(self.visits) - 1, -1, -1):
            if self.visits[number].insn == insn:
                return self.place_of(number)
        return None

    def place_of(self, number: int) -> Place:
        """The place of a visit, with the instructions around it as far as the path has them."""
        visit = self.visits[number]
        near = {
            each.insn: f"({each.code:02x}) {each.text}"
            for each in self.visits[max(0, number - 64) : number + 1]
            if abs(each.insn - visit.insn) <= AROUND
        }
        context = tuple(Line(insn, near[insn]) for insn in sorted(near))
        return replace(visit.place(), instruction_context=context)


class LoggedSources:
    """Which line of source each instruction was made from, learned from a log read backwards.

    A kernel writes a line only when it differs from the one it wrote before, so a line holds for the instructions
    after it. This ends where the verifier takes up a branch that it had left for later: the line written before that
    belonged to another branch, which is not in the log at level 1.
    """

    def __init__(self) -> None:
        self.by_insn: dict[int, LogEntry] = {}
        self.waiting: list[int] = []
        """Instructions whose line, further up in the log, has not been read yet."""

    def add(self, entry: LogEntry) -> None:
        """Take the entry before those taken so far."""
        # Nearly all entries are instructions.
        if entry.kind is EntryKind.INSN and entry.insn is not None:
            if (
                self.waiting
                and self.waiting[-1] != entry.insn + 1
                and parse_instruction(entry.text).operation is Operation.BRANCH
            ):
                self.waiting.clear()
            self.waiting.append(entry.insn)
        elif entry.kind is EntryKind.SOURCE and entry.line != 0:
            # Line 0 means that the compiler made the code: the line before it is the nearest real one.
            for insn in self.waiting:
                self.by_insn.setdefault(insn, entry)
            self.waiting.clear()
        elif entry.kind is EntryKind.FROM:
            self.waiting.clear()


def read_path(backwards: Iterable[LogEntry]) -> InsnPath:
    """The path that a log shows, from its entries in reverse order."""
    visits: list[PathInsn] = []
    states = False
    cut: str | None = None
    origin: tuple[int, int] | None = None
    pending = 0
    sources = LoggedSources()
    backtracked = False
    function: str | None = None
    stopped = alone = ""
    for count, entry in enumerate(backwards):
        if len(visits) >= VISITS_MAX or count >= ENTRIES_MAX:
            cut = "the path is longer than what was read of the log"
            break
        if entry.kind is EntryKind.NOISE:
            # Of a log of level 2 most lines are these.
            if origin is None:
                stopped = stopped if visits else ""
                backtracked = entry.text.startswith("parent ")
                validated = VALIDATING.match(entry.text)
                if validated is not None:
                    function = validated[1]
                    break
            continue
        if origin is not None:
            # These entries are of other branches, up to where the verifier left this one for later.
            if entry.kind is EntryKind.FROM and (entry.origin, entry.insn) == origin:
                pending += 1
            elif entry.kind is EntryKind.INSN and entry.insn == origin[0]:
                pending -= 1
            if entry.kind is not EntryKind.INSN or pending:
                sources.add(entry)
                continue
            origin = None
        sources.add(entry)
        if entry.kind is EntryKind.INSN and entry.insn is not None:
            states = states or bool(entry.state)
            # For an access to memory older kernels print the registers after the instruction, and refuse it then.
            visits.append(PathInsn(entry.insn, entry.code, entry.text, entry.state, "" if visits else stopped))
        elif entry.kind is EntryKind.STATE and entry.insn is None and backtracked:
            # An earlier state, printed while the verifier backtracks; the line after it says so.
            pass
        elif entry.kind in {EntryKind.STATE, EntryKind.FROM}:
            states = True
            alone = alone or entry.state
            if visits and entry.insn in {None, visits[-1].insn} and not visits[-1].earlier:
                visits[-1].earlier = entry.state
            elif not visits and entry.kind is EntryKind.STATE and entry.insn is None:
                stopped = stopped or entry.state
            if entry.kind is EntryKind.FROM and entry.origin is not None and entry.insn is not None:
                origin, pending = (entry.origin, entry.insn), 1
        elif entry.kind is EntryKind.TRAILER or (
            entry.kind is EntryKind.LOADER and "BEGIN PROG LOAD LOG" in entry.text
        ):
            # What stands before this is another log.
            break
        if not visits and entry.kind is not EntryKind.STATE:
            # Only the state right after the instruction counts: while the verifier backtracks it prints earlier ones.
            stopped = ""
        backtracked = False
    if origin is not None:
        cut = f"the log does not show how instruction {origin[0]} was reached"
    visits.reverse()
    for visit, following in zip_longest(visits, visits[1:]):
        visit.source = sources.by_insn.get(visit.insn)
        if not visit.state and following is not None:
            # Kernels before 5.18 print all registers before an instruction, and none after one.
            visit.state = following.earlier
    if visits and cut is None and function is None and visits[0].insn != 0:
        cut = f"the log begins at instruction {visits[0].insn}"
    set_depths(visits)
    return InsnPath(visits, cut, states, function, "" if visits else alone)


CALLS = (Operation.CALL, Operation.SUBPROGRAM)


def enters_function(visit: PathInsn, following: PathInsn) -> bool:
    """Whether a call goes on in another function of the program: the one that it calls, or a helper's callback."""
    operation = visit.instruction.operation
    if operation is Operation.SUBPROGRAM:
        return following.insn != visit.insn + 1
    # After a callback has returned, the log may show the call itself again.
    return operation is Operation.CALL and following.insn not in {visit.insn, visit.insn + 1}


def set_depths(visits: list[PathInsn]) -> None:
    """Set the depth of each visit: 0 for the function of the last one."""
    depth = 0
    for number in range(len(visits) - 2, -1, -1):
        visit = visits[number]
        operation = visit.instruction.operation
        if operation is Operation.EXIT:
            depth += 1
        elif operation in CALLS and enters_function(visit, visits[number + 1]):
            depth -= 1
        visit.depth = depth


def open_calls(path: InsnPath) -> list[PathInsn]:
    """The calls that have not returned at the end of the path, the outermost first.

    The last visit is among them: the program was rejected there, so it is not known where it goes on.
    """
    found: list[PathInsn] = []
    for visit, following in zip_longest(path.visits, path.visits[1:]):
        if visit.instruction.operation is Operation.EXIT:
            del found[-1:]
        elif following is None or enters_function(visit, following):
            found.append(visit)
    return found
