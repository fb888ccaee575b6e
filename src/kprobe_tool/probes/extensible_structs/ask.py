# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask one system call: does it answer, does it know CHECK_FIELDS, how large is its struct, which bits are good."""

from __future__ import annotations

import errno as errnos
import platform
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kprobe_tool.errors import errno_name
from kprobe_tool.native import btf, host, procfs
from kprobe_tool.native.prober import Prober
from kprobe_tool.native.syscall import PAGE_SIZE, SIZE_T_BITS, number
from kprobe_tool.probes.extensible_structs.model import (
    CheckFields,
    Field,
    FieldReport,
    Flag,
    FlagReport,
    FlagResult,
    ProbeMethod,
    Reachability,
    Size,
    Support,
    SyscallReport,
)
from kprobe_tool.probes.extensible_structs.recipe import CHECK_FIELDS, FILL, Entry, answer_name, killed_by_filter

TIME_LIMIT = 60
"""Seconds for one system call. Only a supervisor that does not answer takes longer."""

EFTYPE = 134
"""The errno of the CHECK_FIELDS proposal, and since Linux v7.2 another one's: it proves nothing."""

WORD = 8
"""Fields of these structs are 64 bits wide, or come in pairs of 32."""

SPARE = re.compile("_*(spare|pad|reserved)")
"""How kernel structs name the room that later fields take."""

SYSCALL_PREFIXES = ("__x64_sys_", "__arm64_sys_", "__riscv_sys_", "__s390x_sys_", "sys_")
"""How kernels name the functions behind system calls. User Mode Linux does not do as its machine does."""


@dataclass(frozen=True)
class ReachResult:
    """The answer to the first question, and why it means what it means."""

    reach: Reachability
    errno: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class CheckFieldsResult:
    """The answer to CHECK_FIELDS: the page as the kernel rewrote it, when it did."""

    support: CheckFields
    errno: int | None = None
    page: bytes = b""
    reason: str | None = None

    def mask(self, offset: int, size: int) -> int:
        # Fields are in the machine's byte order, as ctypes has them.
        return int.from_bytes(self.page[offset : offset + size], sys.byteorder)

    @property
    def size(self) -> int | None:
        """A lower bound of sizeof the struct. The last bytes of the last mask may be zero (RESOLVE_* need only the
        first), so it is rounded up to a whole field."""
        if self.support is not CheckFields.YES:
            return None
        return -(-len(self.page.rstrip(b"\0")) // WORD) * WORD


def ask(entry: Entry, *, exhaustive: bool = False, with_btf: bool = True) -> SyscallReport:
    """All that the running kernel says of one system call to this process; nothing is left behind.

    Every call is made in a forked child. ``exhaustive`` also tries the bits that have no name. Raises OSError when
    /proc/self/status cannot be read or no child can be made.
    """
    filtered = (host.status_field("Seccomp") or "0") != "0"
    struct = btf_struct(entry) if with_btf else None
    with Prober(time.monotonic() + TIME_LIMIT) as prober:
        try:
            return Inquiry(entry, prober, filtered, struct, exhaustive).report()
        except TimeoutError:
            reached = ReachResult(Reachability.UNKNOWN, None, f"no answer within {TIME_LIMIT} s")
            return report_unreached(entry, reached, prober.calls, struct)


def btf_struct(entry: Entry) -> btf.Struct | None:
    """The struct as the kernel's BTF has it; None without BTF, or where it has no such struct."""
    try:
        return btf.vmlinux().struct(entry.struct)
    except (OSError, ValueError):
        return None


def report_unreached(entry: Entry, reached: ReachResult, calls: int, struct: btf.Struct | None) -> SyscallReport:
    """The report where no further question makes sense."""
    taken = Support.NO if reached.reach is Reachability.ABSENT else Support.UNKNOWN
    elsewhere = entry.recipe.flags_elsewhere
    result = FlagResult(Support.UNKNOWN, note=elsewhere) if elsewhere else FlagResult(taken, in_mask=taken)
    fields = tuple(
        FieldReport(
            name=field.name,
            offset=field.offset,
            size=field.size,
            since=field.since,
            present=taken,
            mask=None,
            mask_method=None,
            note=field.note,
            flags=tuple(
                FlagReport(flag.name, flag.value, flag.since, result, flag.always_refused) for flag in field.flags
            ),
        )
        for field in entry.fields
    )
    return SyscallReport(
        syscall=entry.name,
        struct=entry.struct,
        since=entry.since,
        reachable=reached.reach,
        reachable_errno=reached.errno,
        check_fields={Reachability.BLOCKED: CheckFields.BLOCKED, Reachability.ABSENT: CheckFields.NO}.get(
            reached.reach, CheckFields.UNKNOWN
        ),
        check_fields_errno=None,
        size=Size(reason=reached.reason),
        size_check_fields=None,
        size_btf=struct.size if struct else None,
        calls=calls,
        fields=fields,
        reasons=(reached.reason,) if reached.reason else (),
    )


def ask_reach(entry: Entry, prober: Prober, filtered: bool) -> ReachResult:
    """Whether calls get to the kernel's implementation.

    Its first refusal comes before privileges are looked at, so that EPERM is a filter's. ENOSYS is the kernel's own
    where no filter is installed, and otherwise the kernel's symbols or types tell.
    """
    symbol = entry.symbol or entry.name
    if number(symbol) is None:
        return ReachResult(Reachability.UNKNOWN, None, f"the number of {symbol} is not known on {platform.machine()}")
    answer = entry.recipe.ask_reach(prober)
    name = answer_name(answer)
    if answer.signal is not None:
        if killed_by_filter(answer):
            return ReachResult(Reachability.BLOCKED, None, f"{name} from a seccomp filter: the caller is killed")
        return ReachResult(Reachability.UNKNOWN, None, f"{name} instead of an answer")
    if answer.errno in entry.recipe.reach_errnos:
        return ReachResult(Reachability.YES, answer.errno)
    if answer.errno in entry.recipe.absent_errnos:
        return ReachResult(Reachability.ABSENT, answer.errno, f"{name}: this kernel's {symbol} has no {entry.name}")
    if answer.errno == errnos.ENOSYS:
        there = kernel_has(entry) if filtered else False
        if there is None:
            reason = "ENOSYS, from the kernel or from a seccomp filter: neither kallsyms nor BTF is readable"
            return ReachResult(Reachability.UNKNOWN, answer.errno, reason)
        if there:
            return ReachResult(Reachability.BLOCKED, answer.errno, "ENOSYS from a seccomp filter: the kernel has it")
        return ReachResult(Reachability.ABSENT, answer.errno, "ENOSYS: not in this kernel")
    if filtered:
        return ReachResult(Reachability.BLOCKED, answer.errno, f"{name} from a seccomp filter")
    return ReachResult(Reachability.UNKNOWN, answer.errno, f"{name} is no answer that this kernel should give")


def kernel_has(entry: Entry) -> bool | None:
    """Whether the running kernel has a system call that this process cannot reach; None where nothing tells."""
    name = entry.symbol or entry.name
    try:
        symbols = procfs.implemented(
            {f"{prefix}{any_name}" for prefix in SYSCALL_PREFIXES for any_name in ("openat", name)}
        )
    except OSError:
        symbols = frozenset()
    for prefix in SYSCALL_PREFIXES:
        # Every kernel has openat(2); where it is not to be seen, nothing else would be.
        if f"{prefix}openat" in symbols:
            return f"{prefix}{name}" in symbols
    return True if btf_struct(entry) else None


def ask_check_fields(entry: Entry, prober: Prober, filtered: bool) -> CheckFieldsResult:
    """CHECK_FIELDS: a whole page, filled, with bit 63 in its size.

    A kernel that knows it rewrites all of the page: the masks of its fields, and zeros behind them. The errno proves
    nothing. With the page untouched, E2BIG, EINVAL and EFAULT are what a kernel without it says of such a size.
    """
    call = entry.recipe.check_fields_call(FILL * PAGE_SIZE, CHECK_FIELDS | PAGE_SIZE)
    if call is None:
        return CheckFieldsResult(CheckFields.NO)
    if SIZE_T_BITS < 64:
        return CheckFieldsResult(
            CheckFields.UNKNOWN, reason="a 32-bit program's size_t has no bit 63: ask with a 64-bit Python"
        )
    answer = prober.ask(call)
    name = answer_name(answer)
    if answer.signal is not None:
        if killed_by_filter(answer):
            return CheckFieldsResult(CheckFields.BLOCKED, reason=f"CHECK_FIELDS: {name} from a seccomp filter")
        return CheckFieldsResult(CheckFields.UNKNOWN, reason=f"CHECK_FIELDS: {name} instead of an answer")
    page = answer.memory[0]
    if page != FILL * PAGE_SIZE:
        if answer.errno and is_answer(page):
            return CheckFieldsResult(CheckFields.YES, answer.errno, page)
        return CheckFieldsResult(
            CheckFields.UNKNOWN, answer.errno, reason=f"CHECK_FIELDS: {name}, and part of the page rewritten"
        )
    if answer.errno in {errnos.E2BIG, errnos.EINVAL, errnos.EFAULT}:
        return CheckFieldsResult(CheckFields.NO, answer.errno)
    if filtered or answer.errno == EFTYPE:
        return CheckFieldsResult(
            CheckFields.BLOCKED, answer.errno, reason=f"CHECK_FIELDS: {name} from a seccomp filter"
        )
    return CheckFieldsResult(
        CheckFields.UNKNOWN, answer.errno, reason=f"CHECK_FIELDS: {name}, and nothing is rewritten"
    )


def is_answer(page: bytes) -> bool:
    """Whether a page can be an answer: something in it, and zeros to its very end behind that."""
    used = len(page.rstrip(b"\0"))
    return 0 < used <= PAGE_SIZE // 2


class Inquiry:
    """One system call being asked, from its reachability to its last bit."""

    def __init__(
        self, entry: Entry, prober: Prober, filtered: bool, struct: btf.Struct | None, exhaustive: bool
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
            return report_unreached(entry, reached, self.prober.calls, self.struct)
        self.masks = ask_check_fields(entry, self.prober, self.filtered)
        if self.masks.reason:
            self.reasons.append(self.masks.reason)
        self.size = self.ask_size()
        if self.size.reason:
            self.reasons.append(f"size: {self.size.reason}")
        self.controls_hold = self.ask_controls()
        fields = tuple(self.ask_field(field) for field in entry.fields)
        fields += tuple(self.newer_fields())
        report = SyscallReport(
            syscall=entry.name,
            struct=entry.struct,
            since=entry.since,
            reachable=reached.reach,
            reachable_errno=reached.errno,
            check_fields=self.masks.support,
            check_fields_errno=self.masks.errno,
            size=self.size,
            size_check_fields=self.masks.size,
            size_btf=self.struct.size if self.struct else None,
            calls=self.prober.calls,
            fields=fields,
            reasons=tuple(self.reasons),
        )
        if report.sizes_agree is False:
            return replace(report, reasons=(*report.reasons, "the witnesses of the size disagree"))
        return report

    def ask_size(self) -> Size:
        known = {field.end for field in self.entry.fields if field.end >= self.recipe.first_size}
        guesses = [self.struct.size] if self.struct else []
        guesses += sorted(known | set(self.recipe.sizes), reverse=True)[:1] or [self.recipe.first_size]
        return self.recipe.ask_size(self.prober, guesses)

    @property
    def usable_size(self) -> int:
        """The size to make calls with: the kernel's, or the first version's, which every kernel takes."""
        return self.size.value or (self.struct.size if self.struct else self.recipe.first_size)

    def ask_controls(self) -> bool:
        """Whether calls that must fail fail as they must. If not, a probe could do harm, or would mean nothing."""
        for control in self.recipe.controls(self.usable_size):
            answer = self.prober.ask(control.call)
            if answer.signal is not None or answer.errno not in control.expected:
                wanted = " or ".join(
                    errno_name(number) if number else "success" for number in sorted(control.expected)
                )
                needs = f"; it may need {control.needs}" if control.needs else ""
                self.reasons.append(f"not probed: {control.what} answers {answer_name(answer)}, not {wanted}{needs}")
                return False
        return True

    def present(self, field: Field) -> Support:
        """Whether the kernel's struct has a field: by its size, and by BTF where it was only room in between."""
        if field.offset is not None and self.struct is not None:
            there = {member.name for member in self.struct.members if member.offset == field.offset}
            if there and all(SPARE.match(name) for name in there):
                return Support.NO
        if field.offset is None or field.end <= self.recipe.first_size:
            return Support.YES
        sizes = [size for size in (self.size.value, self.masks.size, self.struct and self.struct.size) if size]
        if not sizes:
            return Support.UNKNOWN
        return Support.YES if field.end <= max(sizes) else Support.NO

    def ask_field(self, field: Field) -> FieldReport:
        present = self.present(field)
        masked = self.masks.support is CheckFields.YES and field.offset is not None
        mask = self.masks.mask(field.offset or 0, field.size) if masked else None
        flags = list(field.flags)
        if flags and present is not Support.NO:
            flags += self.unnamed_flags(field, mask or 0)
        if present is Support.NO:
            results = dict.fromkeys(flags, FlagResult(Support.NO, ProbeMethod.SIZE, in_mask=Support.NO))
        elif not self.controls_hold:
            results = {}
        else:
            results = self.recipe.ask_flags(self.prober, field, flags, self.usable_size) if flags else {}
        reports = []
        for flag in flags:
            result = results.get(flag, FlagResult(Support.UNKNOWN))
            if mask is not None:
                in_mask = Support.YES if mask & flag.value == flag.value else Support.NO
                result = replace(result, in_mask=in_mask)
            if flag in field.flags or Support.YES in {result.accepted, result.in_mask}:
                reports.append(FlagReport(flag.name, flag.value, flag.since or None, result, flag.always_refused))
        method = ProbeMethod.CHECK_FIELDS
        if mask is None:
            mask, method = accepted_mask(reports), ProbeMethod.PROBE
            if mask is not None and any(report.result.method is ProbeMethod.SELF for report in reports):
                method = ProbeMethod.SELF
        return FieldReport(
            name=field.name,
            offset=field.offset,
            size=field.size,
            since=field.since,
            present=present,
            mask=mask,
            mask_method=None if mask is None else method,
            note=field.note,
            flags=tuple(reports),
        )

    def unnamed_flags(self, field: Field, mask: int) -> Iterator[Flag]:
        """The bits that have no name here: those of the kernel's mask, all of them when asked exhaustively."""
        named = 0
        for flag in field.flags:
            named |= flag.value
        for bit in range(field.bits):
            if not named >> bit & 1 and (self.exhaustive or mask >> bit & 1):
                yield self.recipe.unnamed_flag(field, bit)

    def newer_fields(self) -> Iterator[FieldReport]:
        """Fields behind those that have a name here: by BTF with their names, by CHECK_FIELDS with their masks."""
        end = max((field.end for field in self.entry.fields), default=0)
        covered = end
        if self.struct and end:
            for member in self.struct.members:
                if member.offset < end or not member.size or member.bits:
                    continue
                covered = max(covered, member.offset + member.size)
                if SPARE.match(member.name):
                    continue
                yield self.newer_field(member.name, member.offset, member.size)
        for offset in range(covered, self.masks.size or 0, WORD):
            yield self.newer_field(f"field@{offset}", offset, WORD)

    def newer_field(self, name: str, offset: int, size: int) -> FieldReport:
        masked = self.masks.support is CheckFields.YES
        return FieldReport(
            name=name,
            offset=offset,
            size=size,
            since=None,
            present=Support.YES,
            mask=self.masks.mask(offset, size) if masked else None,
            mask_method=ProbeMethod.CHECK_FIELDS if masked else None,
            note="newer than this tool",
        )


def accepted_mask(reports: Sequence[FlagReport]) -> int | None:
    """The bits of all accepted flags; None where no answer says anything."""
    if all(report.result.accepted is Support.UNKNOWN for report in reports):
        return None
    mask = 0
    for report in reports:
        if report.result.accepted is Support.YES:
            mask |= report.value
    return mask
