# SPDX-License-Identifier: GPL-2.0-or-later
"""Wordings of the table as messages: what the kernel's format string would give."""

from kprobe_tool.probes.verifier.messages.row import split_wording

EXAMPLES = {
    "arg": "R1",
    "arg2": "R2",
    "len": "R2",
    "at": "7",
    "to": "12",
    "insn": "4",
    "off": "16",
    "size": "8",
    "id": "2",
    "number": "3",
    "count": "9",
    "limit": "64",
    "part": "4",
    "fixed": "-8",
    "range": "14",
    "low": "0",
    "high": "8",
    "name": "task_struct",
    "func": "bpf_ringbuf_submit",
    "caller": "walk",
    "callee": "step",
    "what": "bpf_spin_lock",
    "what2": "lock",
    "where": "At program exit",
    "list": "fp, pkt",
    "text": "packet ",
    "text2": "0+(0x0; 0xff)+0+1",
    "state": " unknown scalar value",
    "hex": "f7",
    "type": "map_value",
    "word": "STRUCT",
    "nullable": "map_value_or_null",
    "operator": "+=",
    "operation": "add",
    "tnum": "(0x0; 0xff)",
    "range_text": "[0, 1]",
    "access": "write to",
    "access2": " indirect",
    "plural": "s are",
}
"""One value of each conversion that a wording can have."""

ARGUMENTS = ("R1", "R10", "*(R11-8)", "arg#0", "arg #1", "arg1", "args#2")
"""What kernels from 5.10 to 7.3 call a register or an argument."""


def render(wording: str, **values: str) -> str:
    """The message of a wording."""
    examples = {**EXAMPLES, **values}
    return "".join(literal + (examples[name] if name is not None else "") for literal, name in split_wording(wording))
