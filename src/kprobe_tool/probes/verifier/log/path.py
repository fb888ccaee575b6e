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
from kprobe_tool.probes.verifier.log.disasm import Instruction, Operation, read
from kprobe_tool.probes.verifier.log.lines import EntryKind, LogEntry
from kprobe_tool.probes.verifier.log.states import parse

VISITS_MAX = 10_000
"""Instructions that a path is followed back through."""
ENTRIES_MAX = 30_000
"""Lines that are looked at for them."""
AROUND = 2
VALIDATING = re.compile(r"Validating (\w{1,128})\(\) func#")


@dataclass
class PathInsn:
    """One visit of the verifier to an instruction, which can be on the path more than once.

    ``state`` and ``earlier`` are what the log says of the registers behind and before it: only of some, and only
    looked at when somebody asks. ``depth`` is that of the call: 0 for the function in which the program was rejected,
    more for functions it has called.
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
        return parse(self.state).values

    @property
    def before(self) -> Mapping[str, str]:
        return parse(self.earlier).values

    @property
    def instruction(self) -> Instruction:
        return read(self.text)

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
    """The visits, oldest first. ``cut`` says why there are no older ones, or None where the program begins.

    ``function`` is the global function that is checked here on its own, and at whose entry the path begins.
    """

    visits: list[PathInsn]
    cut: str | None
    states: bool
    function: str | None = None

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
    behind it. This ends where the verifier takes up a branch that it had left for later: the line written before that
    belonged to another branch, which is not in the log at level 1.
    """

    def __init__(self) -> None:
        self.of: dict[int, LogEntry] = {}
        self.waiting: list[int] = []

    def see(self, entry: LogEntry) -> None:
        """Take the entry that stands before those seen so far."""
        # Nearly all entries are instructions.
        if entry.kind is EntryKind.INSN and entry.insn is not None:
            if self.waiting and self.waiting[-1] != entry.insn + 1 and read(entry.text).operation is Operation.BRANCH:
                self.waiting.clear()
            self.waiting.append(entry.insn)
        elif entry.kind is EntryKind.SOURCE and entry.line != 0:
            # Line 0 is one that the compiler made: what stands before it is the nearest real one.
            for insn in self.waiting:
                self.of.setdefault(insn, entry)
            self.waiting.clear()
        elif entry.kind is EntryKind.FROM:
            self.waiting.clear()


def walk(backwards: Iterable[LogEntry]) -> InsnPath:
    """The path from entries of the log, the last one first."""
    visits: list[PathInsn] = []
    states = False
    cut: str | None = None
    origin: tuple[int, int] | None = None
    pending = 0
    sources = LoggedSources()
    backtracked = False
    function: str | None = None
    stopped = ""
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
            # Other branches, up to where the verifier left this one for later.
            if entry.kind is EntryKind.FROM and (entry.origin, entry.insn) == origin:
                pending += 1
            elif entry.kind is EntryKind.INSN and entry.insn == origin[0]:
                pending -= 1
            if entry.kind is not EntryKind.INSN or pending:
                sources.see(entry)
                continue
            origin = None
        sources.see(entry)
        if entry.kind is EntryKind.INSN and entry.insn is not None:
            states = states or bool(entry.state)
            # Older kernels print the registers at an access to memory behind it, before they refuse it.
            visits.append(PathInsn(entry.insn, entry.code, entry.text, entry.state, "" if visits else stopped))
        elif entry.kind is EntryKind.STATE and entry.insn is None and backtracked:
            # An earlier state, printed while the verifier backtracks; the line that says so stands behind it.
            pass
        elif entry.kind in {EntryKind.STATE, EntryKind.FROM}:
            states = True
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
            # Only those right behind the instruction: while the verifier backtracks it prints earlier ones.
            stopped = ""
        backtracked = False
    if origin is not None:
        cut = f"the log does not show how instruction {origin[0]} was reached"
    visits.reverse()
    for visit, following in zip_longest(visits, visits[1:]):
        visit.source = sources.of.get(visit.insn)
        if not visit.state and following is not None:
            # Kernels before 5.18 write all registers before an instruction, and none behind one.
            visit.state = following.earlier
    if visits and cut is None and function is None and visits[0].insn != 0:
        cut = f"the log begins at instruction {visits[0].insn}"
    deepen(visits)
    return InsnPath(visits, cut, states, function)


CALLS = (Operation.CALL, Operation.SUBPROGRAM)


def enters(visit: PathInsn, following: PathInsn) -> bool:
    """Whether an instruction goes on in another function: one that it calls, or that a helper calls back."""
    operation = visit.instruction.operation
    if operation is Operation.SUBPROGRAM:
        return following.insn != visit.insn + 1
    # After a callback has returned, the log may show the call itself again.
    return operation is Operation.CALL and following.insn not in {visit.insn, visit.insn + 1}


def deepen(visits: list[PathInsn]) -> None:
    """Set how deep in calls each visit is, counted from the last one."""
    depth = 0
    for number in range(len(visits) - 2, -1, -1):
        visit = visits[number]
        operation = visit.instruction.operation
        if operation is Operation.EXIT:
            depth += 1
        elif operation in CALLS and enters(visit, visits[number + 1]):
            depth -= 1
        visit.depth = depth


def open_calls(path: InsnPath) -> list[PathInsn]:
    """The calls that have not returned at the end of the path, the outermost first; the last instruction if it is
    one."""
    found: list[PathInsn] = []
    for visit, following in zip_longest(path.visits, path.visits[1:]):
        if visit.instruction.operation is Operation.EXIT:
            del found[-1:]
        elif following is None or enters(visit, following):
            found.append(visit)
    return found
