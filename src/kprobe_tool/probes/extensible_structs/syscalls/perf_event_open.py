# SPDX-License-Identifier: GPL-2.0-or-later
"""perf_event_open(2)."""

from __future__ import annotations

import errno as errnos
from collections.abc import Sequence

from kprobe_tool.native import perf_event
from kprobe_tool.native.prober import Call, CallAnswer, Prober
from kprobe_tool.probes.extensible_structs.model import (
    Field,
    FieldFacts,
    Flag,
    FlagResult,
    ProbeMethod,
    Size,
    Support,
    fields,
)
from kprobe_tool.probes.extensible_structs.recipe import Control, Recipe, SyscallEntry, size_written_back

# In the order of the bits, each with its release; a name of two bits has both of them.
BITS = (
    ("disabled", 1, "2.6.31"),
    ("inherit", 1, "2.6.31"),
    ("pinned", 1, "2.6.31"),
    ("exclusive", 1, "2.6.31"),
    ("exclude_user", 1, "2.6.31"),
    ("exclude_kernel", 1, "2.6.31"),
    ("exclude_hv", 1, "2.6.31"),
    ("exclude_idle", 1, "2.6.31"),
    ("mmap", 1, "2.6.31"),
    ("comm", 1, "2.6.31"),
    ("freq", 1, "2.6.31"),
    ("inherit_stat", 1, "2.6.31"),
    ("enable_on_exec", 1, "2.6.31"),
    ("task", 1, "2.6.31"),
    ("watermark", 1, "2.6.32"),
    ("precise_ip", 2, "2.6.35"),
    ("mmap_data", 1, "2.6.36"),
    ("sample_id_all", 1, "2.6.38"),
    ("exclude_host", 1, "3.2"),
    ("exclude_guest", 1, "3.2"),
    ("exclude_callchain_kernel", 1, "3.7"),
    ("exclude_callchain_user", 1, "3.7"),
    ("mmap2", 1, "3.16"),
    ("comm_exec", 1, "3.16"),
    ("use_clockid", 1, "4.1"),
    ("context_switch", 1, "4.3"),
    ("write_backward", 1, "4.7"),
    ("namespaces", 1, "4.12"),
    ("ksymbol", 1, "5.1"),
    ("bpf_event", 1, "5.1"),
    ("aux_output", 1, "5.4"),
    ("cgroup", 1, "5.7"),
    ("text_poke", 1, "5.9"),
    ("build_id", 1, "5.12"),
    ("inherit_thread", 1, "5.13"),
    ("remove_on_exec", 1, "5.13"),
    ("sigtrap", 1, "5.13"),
    ("defer_callchain", 1, "6.19"),
    ("defer_output", 1, "6.19"),
)
TRIED_WITH = {"inherit_thread": (perf_event.INHERIT,), "sigtrap": (perf_event.REMOVE_ON_EXEC,)}

SAMPLE_TYPE = (
    ("IP", "2.6.31"),
    ("TID", "2.6.31"),
    ("TIME", "2.6.31"),
    ("ADDR", "2.6.31"),
    ("READ", "2.6.31"),
    ("CALLCHAIN", "2.6.31"),
    ("ID", "2.6.31"),
    ("CPU", "2.6.31"),
    ("PERIOD", "2.6.31"),
    ("STREAM_ID", "2.6.31"),
    ("RAW", "2.6.31"),
    ("BRANCH_STACK", "3.4"),
    ("REGS_USER", "3.7"),
    ("STACK_USER", "3.7"),
    ("WEIGHT", "3.10"),
    ("DATA_SRC", "3.10"),
    ("IDENTIFIER", "3.12"),
    ("TRANSACTION", "3.13"),
    ("REGS_INTR", "3.19"),
    ("PHYS_ADDR", "4.14"),
    ("AUX", "5.5"),
    ("CGROUP", "5.7"),
    ("DATA_PAGE_SIZE", "5.11"),
    ("CODE_PAGE_SIZE", "5.11"),
    ("WEIGHT_STRUCT", "5.12"),
)
READ_FORMAT = (
    ("TOTAL_TIME_ENABLED", "2.6.31"),
    ("TOTAL_TIME_RUNNING", "2.6.31"),
    ("ID", "2.6.31"),
    ("GROUP", "2.6.31"),
    ("LOST", "6.0"),
)
BRANCH = (
    ("USER", "3.4"),
    ("KERNEL", "3.4"),
    ("HV", "3.4"),
    ("ANY", "3.4"),
    ("ANY_CALL", "3.4"),
    ("ANY_RETURN", "3.4"),
    ("IND_CALL", "3.4"),
    ("ABORT_TX", "3.11"),
    ("IN_TX", "3.11"),
    ("NO_TX", "3.11"),
    ("COND", "3.16"),
    ("CALL_STACK", "4.1"),
    ("IND_JUMP", "4.2"),
    ("CALL", "4.4"),
    ("NO_FLAGS", "4.5"),
    ("NO_CYCLES", "4.5"),
    ("TYPE_SAVE", "4.14"),
    ("HW_INDEX", "5.7"),
    ("PRIV_SAVE", "6.1"),
    ("COUNTERS", "6.8"),
)


def one_bit_fields() -> tuple[Flag, ...]:
    """BITS with their values."""
    flags = []
    bit = 0
    for name, width, since in BITS:
        flags.append(Flag(name, ((1 << width) - 1) << bit, since, TRIED_WITH.get(name, ())))
        bit += width
    return tuple(flags)


def enum(prefix: str, rows: Sequence[tuple[str, str]], tried_with: tuple[int, ...] = ()) -> tuple[Flag, ...]:
    """An enum whose values are 1 << 0, 1 << 1, and so on."""
    return tuple(Flag(prefix + name, 1 << bit, since, tried_with) for bit, (name, since) in enumerate(rows))


BRANCH_FLAGS = enum("PERF_SAMPLE_BRANCH_", BRANCH, (perf_event.PERF_SAMPLE_BRANCH_ANY,))


class PerfEventOpen(Recipe):
    """A software event that counts nothing, asked for in a group that does not exist: EBADF, after the whole attr.

    EACCES is perf_event_paranoid, before or after the attr depending on the bit and the distribution, and settles
    nothing. ENOSYS and EOPNOTSUPP are bits that this kernel or machine knows and cannot do.
    """

    first_size = perf_event.SIZE_VER0
    sizes = (144, 136, 128, 120, 112, 104, 96, 80, 72)
    accepted = frozenset({errnos.EBADF})
    # EACCES is perf_event_paranoid, which some distributions look at first.
    second_errnos = frozenset({errnos.E2BIG, errnos.EACCES})

    def ask_reach(self, prober: Prober) -> CallAnswer:
        return prober.ask(perf_event.perf_event_open_bad_flags())

    def second_call(self) -> Call:
        return perf_event.perf_event_open(1)

    def ask_size(self, prober: Prober, guesses: Sequence[int]) -> Size:
        return size_written_back(prober.ask(perf_event.perf_event_open(1)), perf_event.size_of, self.first_size)

    def controls(self, size: int) -> Sequence[Control]:
        return (
            Control(
                perf_event.perf_event_open(perf_event.SIZE_VER0),
                self.accepted,
                "a group that does not exist",
                needs="CAP_PERFMON or a lower kernel.perf_event_paranoid",
            ),
            Control(perf_event.perf_event_open(perf_event.SIZE_VER0, bits=1 << 63), self.refused, "unknown bit 63"),
        )

    def flag_call(self, field: Field, bits: int, size: int) -> Call:
        newest = perf_event.LAYOUT[-1]
        size = min(size, newest.offset + newest.size)
        if field.name == "bits":
            return perf_event.perf_event_open(size, bits=bits)
        if field.name == "read_format":
            return perf_event.perf_event_open(size, read_format=bits)
        if field.name == "branch_sample_type":
            return perf_event.perf_event_open(
                size, sample_type=perf_event.PERF_SAMPLE_BRANCH_STACK, branch_sample_type=bits
            )
        branch = perf_event.PERF_SAMPLE_BRANCH_ANY if bits & perf_event.PERF_SAMPLE_BRANCH_STACK else 0
        return perf_event.perf_event_open(size, sample_type=bits, branch_sample_type=branch)

    def judge(self, field: Field, bits: int, answer: CallAnswer) -> FlagResult:
        if answer.signal is None and answer.errno in {errnos.EOPNOTSUPP, errnos.ENOSYS}:
            return FlagResult(
                Support.NO,
                ProbeMethod.PROBE,
                answer.errno,
                "known, but this machine or this build of the kernel lacks it",
                in_mask=Support.YES,
            )
        if answer.signal is None and answer.errno == errnos.EACCES:
            return FlagResult(
                Support.UNKNOWN,
                ProbeMethod.PROBE,
                answer.errno,
                "needs CAP_PERFMON or a lower kernel.perf_event_paranoid",
            )
        return super().judge(field, bits, answer)


ENTRY = SyscallEntry(
    name="perf_event_open",
    struct="perf_event_attr",
    since="2.6.31",
    fields=fields(
        perf_event.LAYOUT,
        "2.6.31",
        {
            "sample_type": FieldFacts("2.6.31", enum("PERF_SAMPLE_", SAMPLE_TYPE)),
            "read_format": FieldFacts("2.6.31", enum("PERF_FORMAT_", READ_FORMAT)),
            "bits": FieldFacts(
                "2.6.31", one_bit_fields(), "the one-bit fields as one mask, in which disabled is bit 0"
            ),
            "config2": "2.6.39",
            "branch_sample_type": FieldFacts("3.4", BRANCH_FLAGS),
            "sample_regs_user": "3.7",
            "sample_stack_user": "3.7",
            "clockid": "4.1",
            "sample_regs_intr": "3.19",
            "aux_watermark": "4.1",
            "sample_max_stack": "4.8",
            "aux_sample_size": "5.5",
            "aux_action": "6.13",
            "sig_data": "5.13",
            "config3": "6.3",
            "config4": "7.0",
        },
    ),
    recipe=PerfEventOpen(),
)
