# SPDX-License-Identifier: GPL-2.0-or-later
"""Pointers that may be NULL and are not compared with it, and pointers that are nothing but NULL."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.explaining.cause import Cause, Rejection
from kprobe_tool.probes.verifier.explaining.origins import Origin, is_same_read, null_comparisons, origin_of, state_of
from kprobe_tool.probes.verifier.log.disasm import Operation
from kprobe_tool.probes.verifier.log.path import InsnPath, PathInsn


def called_function(visit: PathInsn) -> str:
    """What a call calls; the first kernels write helpers as numbers."""
    name = visit.instruction.name or ""
    return f"helper #{name}" if name.isdigit() else f"{name}()"


def explain_null_and_offset(register: str, path: InsnPath, origin: Origin, constant: int, what: str) -> Cause:
    """A constant where a pointer should be: NULL, or a field of NULL."""
    insn = path.visits[origin.number].insn if origin.number is not None else None
    number = (
        "0, that is NULL, with an offset added"
        if constant == 0 and origin.changed
        else "0, that is NULL"
        if constant == 0
        else f"{constant}: NULL and the offset of a field in it"
    )
    set_at = f" (set by instruction {insn})" if insn is not None else ""
    return Cause(
        f"{register} is the constant {number}{set_at}, and {what}. The pointer was never set to anything on "
        "this path.",
        "Each path is checked for itself: where the pointer is set in one branch only, set it in the others as "
        "well, or "
        "leave there. A pointer in a structure that was only initialized ({} or "
        "= NULL) points to no memory; give it an array or a map value, or pass the address of a variable.",
        CauseClass.SOURCE,
        f"{register} holds the constant {constant}",
    )


def explain_unchecked_null(register: str, path: InsnPath) -> Cause | None:
    """A pointer that may be NULL: never compared, or only a copy of it, or an earlier read of the same place."""
    if not path.visits:
        return None
    end = len(path.visits) - 1
    mine = origin_of(path, register, end)
    if mine.number is None:
        return None
    state = state_of(path, register, end)
    for number, name in reversed(null_comparisons(path)):
        theirs = origin_of(path, name, number)
        test = path.visits[number]
        if theirs.number is None:
            continue
        if theirs.number == mine.number and (state is None or "id" not in state.attributes):
            return Cause(
                f"Instruction {test.insn} compares {name} with NULL, and {register} is a copy of the same "
                "pointer: this kernel does not carry the result over to copies.",
                "Compare the variable that is used, directly before its use; kernels from v4.10 on follow copies.",
                CauseClass.ENVIRONMENT,
                f"{name}, another copy of {register}, is compared with NULL at instruction {test.insn}",
            )
        if is_same_read(path, theirs, mine):
            first, second = path.visits[theirs.number], path.visits[mine.number]
            by_call = second.instruction.operation is Operation.CALL
            again = "looks the same key up again" if by_call else "reads the same place again"
            return Cause(
                f"What instruction {test.insn} compares with NULL is what instruction {first.insn} got; instruction "
                f"{second.insn} {again}, and that result is not compared.",
                "Keep it in a local variable: get it once, compare that variable with NULL, and use it.",
                CauseClass.SOURCE,
                f"instructions {first.insn} and {second.insn} get the same thing, and only the first is compared",
            )
    # From the instruction that made it on, the path is whole, whatever is missing before.
    made = path.visits[mine.number]
    returned = made.instruction.operation is Operation.CALL and mine.name == "R0"
    return Cause(
        f"It is what {called_function(made)} returned (instruction {made.insn}), and nothing on this path "
        "compares that with NULL."
        if returned
        else f"Nothing on this path compares it with NULL since instruction {made.insn} got it.",
        "Compare it with NULL directly behind where it is got, and leave where it is NULL. A comparison "
        "within another condition, if (flag && !p) return ...;, leaves a path around it.",
        CauseClass.SOURCE,
        f"nothing on the path compares {register} with NULL",
    )


def explain_null(rejection: Rejection) -> Cause | None:
    if rejection.register is None:
        return None
    cause = explain_unchecked_null(rejection.register, rejection.path)
    if cause is None or not cause.reason:
        return cause
    return Cause(f"{rejection.match.reason()} {cause.reason}", cause.suggestion, cause.cause_class, cause.evidence)
