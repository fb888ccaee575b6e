# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask one system call: does it answer, does it know CHECK_FIELDS, how large is its struct, which bits are good."""

from __future__ import annotations

import errno as errnos
import time
from collections.abc import Iterator
from typing import NamedTuple

from kprobe_tool.native import btf, emulator, host, kallsyms
from kprobe_tool.native.prober import Prober
from kprobe_tool.native.syscall import PAGE_SIZE, SIZE_T_BITS, machine_name, number
from kprobe_tool.probes.extensible_structs import judge
from kprobe_tool.probes.extensible_structs.judge import CheckFieldsResult, ReachAnswers, ReachResult, Witnesses
from kprobe_tool.probes.extensible_structs.model import (
    CheckFields,
    Field,
    FieldReport,
    Flag,
    Reachability,
    Size,
    Support,
    SyscallReport,
)
from kprobe_tool.probes.extensible_structs.recipe import CHECK_FIELDS, FILL, SyscallEntry

TIME_LIMIT = 60
"""Seconds for one system call. Only a supervisor that does not answer takes longer."""

X86 = frozenset({"x86_64", "i686", "i586", "i486", "i386"})
SYSCALL_PREFIXES = {
    "__x64_sys_": X86,
    "__arm64_sys_": frozenset({"aarch64", "armv8l", "armv7l"}),
    "__riscv_sys_": frozenset({"riscv64"}),
    "__s390x_sys_": frozenset({"s390x"}),
    "sys_": None,
}
"""How kernels name the functions behind system calls, and the machines of uname(2) that do so (None: any).

User Mode Linux names them otherwise than other kernels of its machine.
"""


class Implementation(NamedTuple):
    """Whether the running kernel has a system call (None: nothing tells), and is one for another machine."""

    present: bool | None
    emulated: bool = False


def ask(entry: SyscallEntry, *, exhaustive: bool = False, with_btf: bool = True) -> SyscallReport:
    """All that the running kernel says of one system call to this process; nothing is left behind.

    Every call is made in a forked child. ``exhaustive`` also tries the bits that have no name. Raises OSError when
    no child can be made.
    """
    struct = btf_struct(entry) if with_btf else None
    with Prober(time.monotonic() + TIME_LIMIT) as prober:
        try:
            return Inquiry(entry, prober, has_seccomp_filter(), struct, exhaustive).report()
        except TimeoutError:
            reached = ReachResult(Reachability.UNKNOWN, None, f"no answer within {TIME_LIMIT} s")
            return judge.judge_unreached(entry, reached, prober.calls, struct)


def has_seccomp_filter() -> bool | None:
    """Whether this process has a seccomp filter; None where /proc is not there to tell."""
    try:
        mode = host.status_field("Seccomp")
    except OSError:
        return None
    # A kernel without seccomp has no such line.
    return (mode or "0") != "0"


def btf_struct(entry: SyscallEntry) -> btf.Struct | None:
    """The struct as the kernel's BTF has it; None without BTF, or where it has no such struct."""
    try:
        return btf.vmlinux().struct(entry.struct)
    except (OSError, ValueError):
        return None


def ask_reach(entry: SyscallEntry, prober: Prober, filtered: bool | None) -> ReachResult:
    """Whether calls get to the kernel's implementation."""
    recipe = entry.recipe
    if (name := emulator.emulator()) is not None:
        return ReachResult(Reachability.UNKNOWN, None, f"{name} runs this program and answers in the kernel's place")
    for name in entry.symbols:
        if number(name) is None:
            reason = f"the number of {name} is not known on {machine_name()}"
            return ReachResult(Reachability.UNKNOWN, None, reason)
    first = recipe.ask_reach(prober)
    answers = ReachAnswers(first, filtered=filtered)
    if first.signal is None and first.errno == errnos.ENOSYS:
        found = find_implementation(entry)
        answers = answers._replace(implemented=found.present, emulated=found.emulated)
    elif first.signal is None and filtered is not False:
        if first.errno in recipe.reach_errnos | recipe.absent_errnos:
            answers = answers._replace(second=prober.ask(recipe.second_call()))
        elif first.errno in recipe.disabled_errnos:
            answers = answers._replace(disabled=recipe.is_disabled())
    return judge.judge_reach(entry, answers)


def find_implementation(entry: SyscallEntry) -> Implementation:
    """Whether the running kernel has what this process cannot reach, by its symbols or else its types."""
    wanted = {f"{prefix}{name}" for prefix in SYSCALL_PREFIXES for name in ("openat", *entry.symbols)}
    try:
        symbols = kallsyms.implemented_symbols(wanted)
    except OSError:
        symbols = frozenset()
    for prefix, machines in SYSCALL_PREFIXES.items():
        # Every kernel has openat(2): where its symbol is not shown, those of other calls would not be either.
        if f"{prefix}openat" in symbols:
            there = all(f"{prefix}{name}" in symbols for name in entry.symbols)
            return Implementation(there, emulated=machines is not None and machine_name() not in machines)
    return Implementation(True if btf_struct(entry) else None)


def ask_check_fields(entry: SyscallEntry, prober: Prober, filtered: bool | None) -> CheckFieldsResult:
    """CHECK_FIELDS: a whole page, filled, with bit 63 in its size."""
    call = entry.recipe.check_fields_call(FILL * PAGE_SIZE, CHECK_FIELDS | PAGE_SIZE)
    if call is None:
        return CheckFieldsResult(CheckFields.NO)
    if SIZE_T_BITS < 64:
        reason = "a 32-bit program's size_t has no bit 63: ask with a 64-bit Python"
        return CheckFieldsResult(CheckFields.UNKNOWN, reason=reason)
    return judge.judge_check_fields(prober.ask(call), filtered)


class Inquiry:
    """One system call being asked, from its reachability to its last bit."""

    def __init__(
        self, entry: SyscallEntry, prober: Prober, filtered: bool | None, struct: btf.Struct | None, exhaustive: bool
    ) -> None:
        self.entry = entry
        self.recipe = entry.recipe
        self.prober = prober
        self.filtered = filtered
        self.struct = struct
        self.exhaustive = exhaustive
        self.reasons: list[str] = []

    def report(self) -> SyscallReport:
        """The whole answer. Raises TimeoutError."""
        entry = self.entry
        reached = ask_reach(entry, self.prober, self.filtered)
        if reached.reach is not Reachability.YES:
            return judge.judge_unreached(entry, reached, self.prober.calls, self.struct)
        masks = ask_check_fields(entry, self.prober, self.filtered)
        if masks.reason:
            self.reasons.append(masks.reason)
        size = self.ask_size()
        if size.reason:
            self.reasons.append(f"size: {size.reason}")
        witnesses = Witnesses(size, masks, self.struct)
        usable = self.ask_controls(witnesses.usable_size(self.recipe.first_size))
        fields = tuple(self.ask_field(field, witnesses, usable) for field in entry.fields)
        fields += tuple(witnesses.newer_fields(max((field.end for field in entry.fields), default=0)))
        report = SyscallReport(
            syscall=entry.name,
            struct=entry.struct,
            since=entry.since,
            reachable=reached.reach,
            reachable_errno=reached.errno,
            check_fields=masks.support,
            check_fields_errno=masks.errno,
            size=size,
            size_check_fields=masks.size,
            size_btf=self.struct.size if self.struct else None,
            calls=self.prober.calls,
            fields=fields,
            reasons=tuple(self.reasons),
        )
        if report.sizes_agree is False:
            return report._replace(
                reasons=(*report.reasons, "the sizes that BTF, CHECK_FIELDS and the call itself give differ")
            )
        return report

    def ask_size(self) -> Size:
        ends = {field.end for field in self.entry.fields if field.end >= self.recipe.first_size}
        guesses = [self.struct.size] if self.struct else []
        guesses += sorted(ends | set(self.recipe.sizes), reverse=True)[:1] or [self.recipe.first_size]
        return self.recipe.ask_size(self.prober, guesses)

    def ask_controls(self, size: int) -> int | None:
        """The size to probe with, or None where a call that is made to fail does not fail as expected.

        Probing would then mean nothing, or could even have an effect.
        """
        for control in self.recipe.controls(size):
            reason = judge.failed_control(control, self.prober.ask(control.call))
            if reason:
                self.reasons.append(reason)
                return None
        return size

    def ask_field(self, field: Field, witnesses: Witnesses, size: int | None) -> FieldReport:
        """A field and its flags; ``size`` None: nothing is to be probed."""
        present, mask = witnesses.present(field, self.recipe.first_size), witnesses.mask(field)
        flags = list(field.flags)
        if flags and present is not Support.NO:
            flags += self.unnamed_flags(field, mask or 0)
        probed = flags and present is not Support.NO and size is not None
        results = self.recipe.ask_flags(self.prober, field, flags, size or 0) if probed else {}
        return judge.judge_field(field, present, mask, flags, results)

    def unnamed_flags(self, field: Field, mask: int) -> Iterator[Flag]:
        """The bits that have no name here: those of the kernel's mask, all of them when asked exhaustively."""
        named = 0
        for flag in field.flags:
            named |= flag.value
        for bit in range(field.bits):
            if not named >> bit & 1 and (self.exhaustive or mask >> bit & 1):
                yield self.recipe.unnamed_flag(field, bit)
