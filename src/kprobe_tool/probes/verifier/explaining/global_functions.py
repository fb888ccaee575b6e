# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments of global functions, which the verifier checks once and on their own, for every argument allowed."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.explaining.cause import Cause, Rejection
from kprobe_tool.probes.verifier.explaining.causes import NUMBER_RULES
from kprobe_tool.probes.verifier.explaining.numbers import register_with_number
from kprobe_tool.probes.verifier.explaining.origins import origin_of


def explain_global_argument(rejection: Rejection, cause: Cause | None) -> Cause | None:
    """A rejection over an argument of a global function; ``cause`` is what is wrong with it, where that is known."""
    path, register = rejection.path, rejection.register
    if path.function is None or register is None or not path.visits:
        return None
    end = len(path.visits) - 1
    if rejection.match.row.rule in NUMBER_RULES:
        register, end = register_with_number(rejection, register)
    origin = origin_of(path, register, end)
    if origin.number is not None or origin.name not in {"R1", "R2", "R3", "R4", "R5"}:
        return None
    number = int(origin.name[1:])
    declared = (
        " Behind a pointer it may use as many bytes as the declared type has (of char *, 1)."
        if rejection.match.group.problem == "Access outside bounds"
        else ""
    )
    reason = (cause.reason if cause is not None else "") or rejection.match.reason()
    return Cause(
        f"{reason} It comes from argument {number} of {path.function}(), a global function: such a function is "
        "checked once and on its own, for every argument that its declaration allows, and what its callers have "
        f"checked does not count.{declared}",
        f"Check the argument inside of {path.function}() (a pointer for NULL, a number for its limits), or make the "
        "function static, then it is checked where it is called. __arg_nonnull and __arg_trusted (bpf_helpers.h, "
        "from Linux v6.8 on) declare what callers must pass.",
        CauseClass.SOURCE,
        f"the path begins at {path.function}(), and nothing sets {origin.name} on it",
    )
