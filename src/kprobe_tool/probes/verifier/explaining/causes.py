# SPDX-License-Identifier: GPL-2.0-or-later
"""Which function looks for the cause behind which message."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from kprobe_tool.probes.verifier.explaining.causal import register_of
from kprobe_tool.probes.verifier.explaining.cause import Cause, Rejection
from kprobe_tool.probes.verifier.log.disasm import Instruction, Operation
from kprobe_tool.probes.verifier.log.path import InsnPath
from kprobe_tool.probes.verifier.messages.row import Match


def find_cause(match: Match, message: str, details: tuple[str, ...], path: InsnPath) -> Cause | None:
    """The cause behind a message, or None where the log shows none."""
    instruction = path.visits[-1].instruction if path.visits else Instruction(Operation.OTHER)
    rejection = Rejection(match, message, details, path, register_of(match, match.row.follow, instruction))
    finder = BY_RULE.get(match.row.rule)
    cause = None if finder is None else call_finder(finder, rejection)
    if path.function is None:
        return cause
    from kprobe_tool.probes.verifier.explaining.global_functions import explain_global_argument

    return explain_global_argument(rejection, cause) or cause


def call_finder(finder: str, rejection: Rejection) -> Cause | None:
    """What ``module.function`` of this room says of a rejection; the module is imported here."""
    module, _, name = finder.partition(".")
    cause: Cause | None = getattr(import_module(f"{__package__}.{module}"), name)(rejection)
    return cause


NUMBER_RULES = (
    "size-negative",
    "size-unbounded",
    "bounds-negative",
    "bounds-unbounded",
    "pointer-offset-range",
    "stack-variable-unbounded",
)
"""Rules of messages about a number of which too little is known."""
BY_RULE: Mapping[str, str] = {
    "scalar-dereference": "pointers.explain_scalar",
    "invalid-dereference": "pointers.explain_typed_dereference",
    "modified-pointer": "contexts.explain_modified_context",
    "misaligned": "alignment.explain_misaligned",
    "argument-type": "calls.explain_argument_type",
    "null-dereference": "nulls.explain_null",
    "argument-may-be-null": "nulls.explain_null",
    "unreadable-register": "pointers.explain_unreadable",
    "pointer-operator": "objects.explain_pointer_shift",
    "stack-uninitialized": "objects.explain_object_on_stack",
    "argument-memory": "calls.explain_memory_and_size",
    "argument-packet": "arguments.explain_packet_argument",
    "argument-map-value": "arguments.explain_outside_map_value",
    "dynptr-uninitialized": "arguments.explain_uninitialized_dynptr",
    "unreleased-reference": "calls.explain_unreleased",
    "leaking-reference": "calls.explain_unreleased",
    "packet-bounds": "packets.explain_packet",
    "bounds-minimum": "objects.explain_object_bounds",
    "bounds-maximum": "objects.explain_object_bounds",
    "object-bounds": "objects.explain_object_bounds",
    "kernel-read-only": "objects.explain_map_object",
    "struct-member": "objects.explain_map_object",
    "struct-hole": "objects.explain_map_object",
    "object-at-offset": "objects.explain_object_at_offset",
    "stack-out-of-frame": "objects.explain_stack_bounds",
    "unknown-opcode": "objects.explain_opcode",
    "pointer-arithmetic": "objects.explain_pointer_arithmetic",
    "pointer-bitwise": "objects.explain_pointer_bitwise",
    "pointer-offset-unbounded": "objects.explain_pointer_difference",
    "context-access": "contexts.explain_context_access",
    "map-type": "calls.explain_wrong_map",
    "kernel-misconfigured": "calls.explain_misconfigured",
    "helper-not-for-type": "calls.explain_missing_helper",
    "call-depth": "calls.explain_recursion",
    "kptr-type": "calls.explain_percpu_kptr",
    "global-argument-size": "calls.explain_untyped_argument",
    "argument-context-wanted": "calls.explain_missing_context",
    **dict.fromkeys(NUMBER_RULES, "numbers.explain_unbounded_number"),
}
"""Rule of the table of messages: the function that looks for the cause, as text, so that only it is imported."""
