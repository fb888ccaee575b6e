# SPDX-License-Identifier: GPL-2.0-or-later
"""Packet bounds in numbers: what a comparison with the packet's end has proved, and what this access needs.

find_good_pkt_pointers() in kernel/bpf/verifier.c gives the proven range to all pointers that are offset from the same
variable (they have the same id); a variable offset that may be above MAX_PACKET_OFF gets none.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.explaining.cause import Cause, Rejection
from kprobe_tool.probes.verifier.explaining.origins import is_same_read, origin_of, state_of
from kprobe_tool.probes.verifier.log.disasm import Operation
from kprobe_tool.probes.verifier.log.path import InsnPath
from kprobe_tool.probes.verifier.log.states import Value, parse_value

MAX_PACKET_OFF = 0xFFFF
ACCESS = re.compile(
    r"invalid access to packet, off=(-?\d{1,9}) size=(-?\d{1,9}), "
    r"R(\d{1,2})\(id=(\d{1,9}),off=(-?\d{1,9}),r=(\d{1,9})\)"
)
ENDS = (" +80)", " +4)")
"""How the disassembly of a load of data_end ends: its offset in struct __sk_buff, and in struct xdp_md."""


class RangeCheck(NamedTuple):
    """A comparison of a packet pointer with the packet's end, at the visit with this number."""

    number: int
    pointer: str
    state: Value | None
    strict: bool
    """Whether it separates ``ptr < end`` from the rest, which proves one byte more than ``ptr <= end`` does."""


class Access(NamedTuple):
    """The kernel's figures of an access, in bytes.

    ``off`` is the offset of the access, of which ``fixed`` is the constant part in the register; ``proved`` is how
    many bytes the comparisons on this path have shown to be there. ``called`` is true where a function that is given
    a size makes the access.
    """

    off: int
    size: int
    register: str
    id: str
    fixed: int
    proved: int
    called: bool = False

    @property
    def needed(self) -> int:
        return self.off + self.size

    @property
    def constant(self) -> bool:
        """Whether the pointer is at a constant offset from the beginning of the packet."""
        return self.id == "0"

    @property
    def reach(self) -> int:
        """Bytes that the comparison must show: from its pointer to the end of the access."""
        return self.needed if self.constant else self.needed - self.fixed

    @property
    def comparison(self) -> str:
        """The comparison to write in the source."""
        if self.constant:
            return f"if (data + {self.reach} > data_end) return ...;"
        return f"if ({self.register} + {self.reach} > data_end) return ...; with {self.register} as it is here."

    @property
    def alternative(self) -> str:
        """Advice to pass a smaller size, where a function is given one and some bytes are there; else empty."""
        if not self.called:
            return ""
        fewer = self.proved - self.off
        return (
            f" Or pass a size of {fewer} at the most, bounded in its own register." if 0 < fewer < self.size else ""
        )

    @property
    def figures(self) -> str:
        start = "the beginning of the packet" if self.constant else "the variable part of the pointer"
        needed = f"{self.needed} byte{'' if self.needed == 1 else 's'}"
        return f"The access needs {needed} from {start} on, and this path has proved {self.proved} of them."


def explain_packet(rejection: Rejection) -> Cause | None:
    return explain_packet_access(rejection.message, rejection.details, rejection.path)


def explain_packet_access(message: str, details: tuple[str, ...], path: InsnPath) -> Cause | None:
    """Why the packet is not known to be long enough for an access."""
    found = next((each for text in (message, *details) if (each := ACCESS.fullmatch(text)) is not None), None)
    if found is None:
        return None
    called = bool(path.visits) and path.visits[-1].instruction.operation is Operation.CALL
    access = Access(int(found[1]), int(found[2]), f"R{found[3]}", found[4], int(found[5]), int(found[6]), called)
    if access.size == 0:
        return Cause(
            "The size may be 0 here, and this function takes none of 0.",
            "Do not make the call where the size is 0: if (size == 0) return ...; on the variable that is passed.",
        )
    checks = range_checks(path)
    state = state_of(path, access.register, len(path.visits) - 1) if path.visits else None
    largest = None if state is None else state.bound("umax")
    if access.proved == 0 and largest is not None and largest + max(access.off, access.reach) > MAX_PACKET_OFF:
        return Cause(
            f"{access.figures} The offset in {access.register} may be as large as {largest}: above {MAX_PACKET_OFF} "
            "in all (offset and access together) the verifier takes no comparison with data_end for a proof.",
            f"Bound the number before it is added to the pointer, well below {MAX_PACKET_OFF} (if (offset > 1500) "
            f"return ...; or offset &= 0x7fff), then compare: {access.comparison}",
            CauseClass.VERIFIER_LIMIT,
            f"{access.register} is a packet pointer with an offset of up to {largest}",
        )
    same = [
        check for check in checks if check.state is not None and check.state.attributes.get("id", "0") == access.id
    ]
    if same and access.proved:
        return explain_short_comparison(access, same[-1], path)
    if same and same[-1].strict and int(same[-1].state.attributes.get("off", "0") if same[-1].state else "0") == 0:
        insn = path.visits[same[-1].number].insn
        return Cause(
            f"{access.figures} Instruction {insn} compares the pointer itself with data_end: that shows one "
            "byte to be there, which the verifier does not take down.",
            f"Compare the end of the access with >, not its beginning: {access.comparison}",
            CauseClass.VERIFIER_LIMIT,
            f"the comparison at instruction {insn} is of the pointer itself, without a byte added",
        )
    if same and not any(is_moved_or_reread(path, access, check) for check in same):
        insn = path.visits[same[-1].number].insn
        return Cause(
            f"{access.figures} Instruction {insn} compares the pointer with data_end before anything is added to it: "
            "that proves no byte.",
            f"Compare the end of the access, not its beginning: {access.comparison}",
            CauseClass.SOURCE,
            f"the comparison at instruction {insn} proves 0 bytes",
        )
    others = [check for check in checks if check not in same]
    if not same and others:
        return explain_other_pointer(access, others[-1], path)
    return Cause(
        f"{access.figures} No comparison with data_end on this path is about {access.register}."
        if path.visits and path.cut is None
        else access.figures,
        f"Before this access: {access.comparison}{access.alternative} And again after any helper that can "
        "move packet data.",
        CauseClass.SOURCE if path.visits and path.cut is None else CauseClass.UNKNOWN,
        "no comparison with the packet's end is on the path" if path.visits and path.cut is None else None,
    )


def is_moved_or_reread(path: InsnPath, access: Access, check: RangeCheck) -> bool:
    """Whether the compared pointer is not the used one: moved by a constant, or read from the context again."""
    if check.state is None or int(check.state.attributes.get("off", "0")) != 0:
        return True
    mine, theirs = (
        origin_of(path, access.register, len(path.visits) - 1),
        origin_of(path, check.pointer, check.number),
    )
    return mine.number is None or mine.number != theirs.number


def explain_short_comparison(access: Access, check: RangeCheck, path: InsnPath) -> Cause:
    """A comparison that proves fewer bytes than this access needs."""
    visit = path.visits[check.number]
    off = int(check.state.attributes.get("off", "0")) if check.state is not None else 0
    if check.strict and off - 1 == access.proved and access.needed <= off + 1:
        return Cause(
            f"{access.figures} Instruction {visit.insn} compares with >=, which proves {off + 1} bytes; this "
            f"kernel counts {off - 1}.",
            "Load on a kernel with the fix (Linux kernel commit 2fa7d94afc1a, 'bpf: Fix the off-by-two error in "
            "range markings', in v5.16 and in stable kernels), or write the comparison so that this kernel counts "
            f"it right: {access.comparison}",
            CauseClass.VERIFIER_FALSE_POSITIVE,
            f"the comparison at instruction {visit.insn} proves {off + 1} bytes, and the log says {access.proved}",
        )
    missing = access.needed - access.proved
    return Cause(
        f"{access.figures} The comparison at instruction {visit.insn} proves {access.proved}: {missing} "
        f"{'byte is' if missing == 1 else 'bytes are'} missing.",
        f"Compare the end of the access, not its beginning: {access.comparison}{access.alternative}",
        CauseClass.SOURCE,
        f"the comparison at instruction {visit.insn} proves {access.proved} of {access.needed} bytes",
    )


def explain_other_pointer(access: Access, check: RangeCheck, path: InsnPath) -> Cause:
    """A comparison of another pointer: mostly the same one before something was added."""
    visits = path.visits
    visit = visits[check.number]
    mine = origin_of(path, access.register, len(visits) - 1)
    theirs = origin_of(path, check.pointer, check.number)
    added = next((visits[n] for n in mine.changed if visits[n].instruction.reads is not None), None)
    since = f": instruction {added.insn} has added {added.instruction.reads} to it since" if added is not None else ""
    if added is not None and any(
        visits[n].instruction.reads == added.instruction.reads and visits[n].insn != added.insn
        for n in theirs.changed
    ):
        return Cause(
            f"{access.figures} Instruction {visit.insn} compares {check.pointer}, which is the same sum made at "
            f"another place; the compiler has made it again for {access.register} at instruction {added.insn}, and "
            "the verifier does not see that they are equal.",
            "Keep the sum in one variable that is compared and used, and hide it from the compiler: "
            'asm volatile("" : "+r"(ptr)); or libbpf\'s barrier_var(ptr), between the sum and the comparison.',
            CauseClass.COMPILER,
            f"instructions {added.insn} and the one before the comparison at {visit.insn} make the same sum",
        )
    reread = " It was also read from the context again." if is_same_read(path, mine, theirs) else ""
    return Cause(
        f"{access.figures} The last comparison with data_end (instruction {visit.insn}) is about {check.pointer}"
        f"{' as it was then' if check.pointer == access.register else ''}, "
        f"another pointer than the one in {access.register}{since}; what it proves does not hold for this "
        f"one.{reread}",
        f"Compare the very pointer that is used, after the last number was added: {access.comparison}",
        CauseClass.SOURCE if added is not None else CauseClass.UNKNOWN,
        f"{check.pointer} was compared and {access.register} is used" if added is not None else None,
    )


def range_checks(path: InsnPath) -> list[RangeCheck]:
    """The comparisons with the packet's end, oldest first."""
    found: list[RangeCheck] = []
    for number, visit in enumerate(path.visits[:-1]):
        instruction = visit.instruction
        left, right = instruction.reads, instruction.compared_to
        if instruction.operation is not Operation.BRANCH or left is None or right is None:
            continue
        states = {name: state_at(path, name, number) for name in (left, right)}
        for pointer, end in ((left, right), (right, left)):
            if is_packet_end(path, end, states[end], number) and not is_packet_end(
                path, pointer, states[pointer], number
            ):
                strict = (
                    instruction.operator in {">=", "<"} if pointer == left else instruction.operator in {"<=", ">"}
                )
                found.append(RangeCheck(number, pointer, states[pointer], strict))
    return found


def state_at(path: InsnPath, name: str, number: int) -> Value | None:
    """The state of a register that is compared: as the log shows it there, or when it was written."""
    text = path.visits[number].after.get(name)
    return parse_value(text) if text is not None else state_of(path, name, number)


def is_packet_end(path: InsnPath, name: str, state: Value | None, number: int) -> bool:
    """Whether a register holds the end of the packet."""
    if state is not None:
        return state.type == "pkt_end"
    origin = origin_of(path, name, number)
    if origin.number is None or origin.changed:
        return False
    text = path.visits[origin.number].text
    return text.endswith(ENDS) and "(u32 *)" in text
