# SPDX-License-Identifier: GPL-2.0-or-later
"""Logs that do not say what was wrong, or only in part: no known message, no message at all, a part cut off."""

from __future__ import annotations

import re
from dataclasses import replace

from kprobe_tool.probes.verifier.diagnosis import Diagnosis, LogOutcome, LostPart, Truncation
from kprobe_tool.probes.verifier.explaining.ending import End
from kprobe_tool.probes.verifier.explaining.errnos import diagnose_late_refusal, explain_errno
from kprobe_tool.probes.verifier.log.lines import EntryKind, parse_line
from kprobe_tool.probes.verifier.log.noise import BEGIN
from kprobe_tool.probes.verifier.log.path import InsnPath

HEAD_MAX = 64
"""Lines from the beginning that are looked at."""
NOTHING_CHECKED = re.compile(r"processed 0 insns")
GROW = "Load with a larger log buffer: 16 MiB is enough for most (libbpf: kernel_log_size; bpf(2): log_size)"


def diagnose_unrecognised(text: str, details: tuple[str, ...], path: InsnPath) -> Diagnosis:
    """A message that the table does not have: it is repeated, with its place, and nothing is made up."""
    return Diagnosis(
        outcome=LogOutcome.REJECTED,
        native=False,
        recognised=False,
        category=None,
        problem=None,
        message=text,
        reason=f"unrecognised message: {text}",
        place=path.last_place(),
        details=details,
    )


def diagnose_silence(end: End, path: InsnPath, errno: str | None) -> Diagnosis:
    """A log without a message: the program was accepted, or the message is missing."""
    if end.finished and errno not in {None, "ENOSPC"}:
        if end.processed is not None and NOTHING_CHECKED.match(end.processed):
            return replace(explain_errno(errno), notes=("the verifier had not looked at a single instruction",))
        return diagnose_late_refusal(errno)
    if end.finished and errno is None:
        return Diagnosis(
            outcome=LogOutcome.ACCEPTED,
            native=False,
            recognised=True,
            category=None,
            problem=None,
            message=None,
            reason="The verifier finished and found nothing wrong: the program was accepted.",
        )
    return Diagnosis(
        outcome=LogOutcome.UNKNOWN,
        native=False,
        recognised=False,
        category=None,
        problem=None,
        message=None,
        reason=(
            "The log ends before the verifier says what is wrong."
            if errno == "ENOSPC"
            else "There is no message in this part of the log that says what is wrong."
        ),
        place=path.last_place(),
        notes=() if errno == "ENOSPC" else ("the verifier's message stands behind the last instruction",),
    )


def find_truncation(
    size: int, beginning: list[str], end: End, diagnosis: Diagnosis, errno: str | None
) -> Truncation | None:
    """What is missing from a log that did not fit: its end on kernels before 6.4, its beginning since then.

    Only where that is certain: the errno says so, or the log begins in the middle of the kernel's own diagnostics, or
    the loader's BEGIN line is followed by an instruction from the middle of the program.
    """
    if errno == "ENOSPC" and diagnosis.outcome is LogOutcome.UNKNOWN:
        return Truncation(
            LostPart.TAIL, size, None, f"{GROW}; this one had about {size} bytes and kept the beginning."
        )
    if (
        errno == "ENOSPC"
        or (diagnosis.native and diagnosis.category is None)
        or (end.finished and is_cut_at_head(beginning))
    ):
        return Truncation(
            LostPart.HEAD,
            size,
            None,
            f"{GROW}; this one kept the last {size} bytes. Since Linux v6.4 log_true_size tells what is needed.",
        )
    return None


def is_cut_at_head(beginning: list[str]) -> bool:
    """Whether the first instruction after the loader's BEGIN line is not the program's first."""
    marked = False
    for text in beginning:
        if BEGIN.search(text):
            marked = True
            continue
        for entry in parse_line(text) if marked else ():
            if entry.kind is EntryKind.STATE or entry.text.startswith("Validating "):
                return False
            if entry.kind is EntryKind.INSN:
                return entry.insn != 0
    return False
