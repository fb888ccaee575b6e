# SPDX-License-Identifier: GPL-2.0-or-later
"""IORING_REGISTER_QUERY, with which io_uring tells what it can do, without a ring."""

from __future__ import annotations

import errno as errnos
from collections.abc import Sequence

from kprobe_tool.native import io_uring
from kprobe_tool.native.prober import Call, CallAnswer, Prober
from kprobe_tool.probes.extensible_structs.model import (
    Field,
    FieldFacts,
    Flag,
    FlagResult,
    ProbeMethod,
    Size,
    fields,
)
from kprobe_tool.probes.extensible_structs.recipe import Recipe, SyscallEntry, judge_masks, leave_unknown

FEATURES = (
    ("SINGLE_MMAP", "5.4"),
    ("NODROP", "5.5"),
    ("SUBMIT_STABLE", "5.5"),
    ("RW_CUR_POS", "5.6"),
    ("CUR_PERSONALITY", "5.6"),
    ("FAST_POLL", "5.7"),
    ("POLL_32BITS", "5.9"),
    ("SQPOLL_NONFIXED", "5.11"),
    ("EXT_ARG", "5.11"),
    ("NATIVE_WORKERS", "5.12"),
    ("RSRC_TAGS", "5.13"),
    ("CQE_SKIP", "5.17"),
    ("LINKED_FILE", "5.17"),
    ("REG_REG_RING", "6.3"),
    ("RECVSEND_BUNDLE", "6.10"),
    ("MIN_TIMEOUT", "6.12"),
    ("RW_ATTR", "6.14"),
    ("NO_IOWAIT", "6.15"),
)
SETUP = (
    ("IOPOLL", "5.1"),
    ("SQPOLL", "5.1"),
    ("SQ_AFF", "5.1"),
    ("CQSIZE", "5.5"),
    ("CLAMP", "5.6"),
    ("ATTACH_WQ", "5.6"),
    ("R_DISABLED", "5.10"),
    ("SUBMIT_ALL", "5.18"),
    ("COOP_TASKRUN", "5.19"),
    ("TASKRUN_FLAG", "5.19"),
    ("SQE128", "5.19"),
    ("CQE32", "5.19"),
    ("SINGLE_ISSUER", "6.0"),
    ("DEFER_TASKRUN", "6.1"),
    ("NO_MMAP", "6.5"),
    ("REGISTERED_FD_ONLY", "6.5"),
    ("NO_SQARRAY", "6.6"),
    ("HYBRID_IOPOLL", "6.13"),
    ("CQE_MIXED", "6.18"),
    ("SQE_MIXED", "6.19"),
    ("SQ_REWIND", "7.0"),
)
ENTER = (
    ("GETEVENTS", "5.1"),
    ("SQ_WAKEUP", "5.1"),
    ("SQ_WAIT", "5.10"),
    ("EXT_ARG", "5.11"),
    ("REGISTERED_RING", "5.18"),
    ("ABS_TIMER", "6.12"),
    ("EXT_ARG_REG", "6.13"),
    ("NO_IOWAIT", "6.15"),
)
SQE = (
    ("FIXED_FILE", "5.1"),
    ("IO_DRAIN", "5.2"),
    ("IO_LINK", "5.3"),
    ("IO_HARDLINK", "5.5"),
    ("ASYNC", "5.6"),
    ("BUFFER_SELECT", "5.7"),
    ("CQE_SKIP_SUCCESS", "5.17"),
)
ROOM = io_uring.LAYOUT[-1].offset + io_uring.LAYOUT[-1].size


def bits(prefix: str, rows: Sequence[tuple[str, str]]) -> tuple[Flag, ...]:
    """Flags by bit number."""
    return tuple(Flag(prefix + name, 1 << bit, since) for bit, (name, since) in enumerate(rows))


class IoUring(Recipe):
    """IORING_REGISTER_QUERY. Its answer, the struct here, holds the masks of flags that io_uring's calls take."""

    first_size = ROOM
    reach_errnos = frozenset({0})
    absent_errnos = frozenset({errnos.EINVAL, errnos.EBADF})
    second_errnos = frozenset({errnos.EBADF})
    flags_elsewhere = "only this query says which flags io_uring takes, and it was not answered"

    def ask_reach(self, prober: Prober) -> CallAnswer:
        answer = prober.ask(io_uring.query(ROOM))
        if answer.signal is None and answer.errno == 0:
            # A query that failed is an error in its header, and not of the call.
            result, _ = io_uring.query_result(answer.memory[0])
            return CallAnswer(-result, answer.value, answer.memory)
        return answer

    def second_call(self) -> Call:
        return io_uring.register_buffers()

    def ask_size(self, prober: Prober, guesses: Sequence[int]) -> Size:
        """The header says how many bytes there are to tell."""
        answer = prober.ask(io_uring.query(2 * ROOM))
        if answer.signal is None and answer.errno == 0:
            result, size = io_uring.query_result(answer.memory[0])
            if result == 0:
                return Size(size, ProbeMethod.SELF)
        return Size(reason="it is not in the answer to the query")

    def ask_flags(self, prober: Prober, field: Field, flags: Sequence[Flag], size: int) -> dict[Flag, FlagResult]:
        answer = self.ask_reach(prober)
        if answer.signal is not None or answer.errno:
            return leave_unknown(flags, answer, "the query")
        mask = io_uring.numbers(answer.memory[1])[field.name]
        return judge_masks(flags, filled=0, supported=mask, note="")


ENTRY = SyscallEntry(
    name="IORING_REGISTER_QUERY",
    struct="io_uring_query_opcode",
    since="6.18",
    fields=fields(
        io_uring.LAYOUT,
        "6.18",
        {
            "feature_flags": FieldFacts("6.18", bits("IORING_FEAT_", FEATURES)),
            "ring_setup_flags": FieldFacts("6.18", bits("IORING_SETUP_", SETUP)),
            "enter_flags": FieldFacts("6.18", bits("IORING_ENTER_", ENTER)),
            "sqe_flags": FieldFacts("6.18", bits("IOSQE_", SQE)),
        },
    ),
    recipe=IoUring(),
    symbols=("io_uring_register",),
)
