# SPDX-License-Identifier: GPL-2.0-or-later
"""The cause behind a message, where the log shows it: what made the value, and what the author meant."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from kprobe_tool.probes.verifier.explaining.causal import register_of
from kprobe_tool.probes.verifier.explaining.cause import Cause, Found
from kprobe_tool.probes.verifier.log.disasm import Instruction, Operation
from kprobe_tool.probes.verifier.log.path import InsnPath
from kprobe_tool.probes.verifier.messages.row import Match


def find_cause(match: Match, message: str, details: tuple[str, ...], path: InsnPath) -> Cause | None:
    """The cause behind a message, or None where the log shows none."""
    instruction = path.visits[-1].instruction if path.visits else Instruction(Operation.OTHER)
    found = Found(match, message, details, path, register_of(match, match.row.follow, instruction))
    finder = BY_RULE.get(match.row.rule)
    cause = None if finder is None else ask(finder, found)
    if path.function is None:
        return cause
    from kprobe_tool.probes.verifier.explaining.alone import checked_alone

    return checked_alone(found, cause) or cause


def ask(finder: str, found: Found) -> Cause | None:
    """What one of those who look for causes finds."""
    module, _, name = finder.partition(".")
    cause: Cause | None = getattr(import_module(f"{__package__}.{module}"), name)(found)
    return cause


NUMBER_RULES = (
    "size-negative",
    "size-unbounded",
    "bounds-negative",
    "bounds-unbounded",
    "pointer-offset-range",
    "stack-variable-unbounded",
)
"""Those of messages about a number of which too little is known."""
BY_RULE: Mapping[str, str] = {
    "scalar-dereference": "pointers.scalar",
    "invalid-dereference": "pointers.typed_dereference",
    "modified-pointer": "contexts.modified",
    "misaligned": "alignment.misaligned",
    "argument-type": "calls.argument_type",
    "null-dereference": "pointers.null",
    "argument-may-be-null": "pointers.null",
    "unreadable-register": "pointers.unreadable",
    "pointer-operator": "objects.pointer_shift",
    "stack-uninitialized": "objects.object_on_stack",
    "argument-memory": "calls.memory_and_size",
    "unreleased-reference": "calls.not_released",
    "leaking-reference": "calls.not_released",
    "packet-bounds": "packets.packet",
    "bounds-minimum": "objects.object_bounds",
    "bounds-maximum": "objects.object_bounds",
    "object-bounds": "objects.object_bounds",
    "kernel-read-only": "objects.map_object",
    "struct-member": "objects.map_object",
    "struct-hole": "objects.map_object",
    "object-at-offset": "objects.object_at_offset",
    "stack-out-of-frame": "objects.read_beyond_variable",
    "unknown-opcode": "objects.opcode",
    "pointer-arithmetic": "objects.pointer_arithmetic",
    "pointer-bitwise": "objects.pointer_bitwise",
    "pointer-offset-unbounded": "objects.pointer_minus",
    "context-access": "contexts.context",
    "map-type": "calls.wrong_map",
    "kernel-misconfigured": "calls.misconfigured",
    "helper-not-for-type": "calls.not_for_type",
    "call-depth": "calls.too_many_frames",
    "kptr-type": "calls.percpu_kptr",
    "global-argument-size": "calls.untyped_argument",
    "argument-context-wanted": "calls.context_wanted",
    **dict.fromkeys(NUMBER_RULES, "numbers.number_cause"),
}
"""Rule of the table: who looks for the cause, as module.function; only what a log needs is imported."""
