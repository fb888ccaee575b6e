# SPDX-License-Identifier: GPL-2.0-or-later
"""What the answers mean: to the first question, to CHECK_FIELDS, and of each field. Nothing is asked here."""

from __future__ import annotations

import errno as errnos
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from kprobe_tool.errors import errno_name
from kprobe_tool.native import btf
from kprobe_tool.native.prober import CallAnswer
from kprobe_tool.native.syscall import PAGE_SIZE
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
from kprobe_tool.probes.extensible_structs.recipe import FILL, Control, SyscallEntry, answer_name, killed_by_filter

FILTER_ERRNOS = frozenset({errnos.EPERM, errnos.EACCES})
"""What seccomp filters answer, ENOSYS aside. They can answer any errno; of the others nobody can tell whose it is."""

EFTYPE = 134
"""The errno of the CHECK_FIELDS proposal, and since Linux v7.2 another one's: it proves nothing."""

WORD = 8
"""Fields of these structs are 64 bits wide, or come in pairs of 32."""

SPARE = re.compile("_*(spare|pad|reserved)")
"""How kernel structs name the room that later fields take."""


class ReachAnswers(NamedTuple):
    """All that is known of a first question.

    ``first`` is the answer to it; ``second`` that to another question, which the kernel answers with another errno
    (None where no filter is installed, and it was not asked). ``filtered`` is whether this process has a seccomp
    filter, None where /proc does not say. ``implemented`` is whether the kernel has the system call by its symbols
    and types, ``disabled`` whether this host's settings make the kernel answer so; None: nothing tells.
    ``emulated``: the kernel is one for another machine, so that an emulator answers in its place.
    """

    first: CallAnswer
    second: CallAnswer | None = None
    filtered: bool | None = False
    implemented: bool | None = None
    disabled: bool | None = None
    emulated: bool = False


class ReachResult(NamedTuple):
    """Whether calls get to the kernel's implementation, the errno that says so, and the reason."""

    reach: Reachability
    errno: int | None = None
    reason: str | None = None


class CheckFieldsResult(NamedTuple):
    """What became of CHECK_FIELDS: the page as the kernel rewrote it, when it did."""

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


def judge_reach(entry: SyscallEntry, answers: ReachAnswers) -> ReachResult:
    """Whether calls get to the kernel's implementation.

    The first refusal comes before privileges are looked at. An errno is a filter's only where a filter is installed
    and the kernel itself cannot give it; where both can, it is unknown.
    """
    answer, recipe = answers.first, entry.recipe
    name = answer_name(answer)
    if answer.signal is not None:
        if killed_by_filter(answer):
            return ReachResult(Reachability.BLOCKED, None, f"{name} from a seccomp filter: the caller is killed")
        return ReachResult(Reachability.UNKNOWN, None, f"{name} instead of an answer")
    errno = answer.errno
    if errno in recipe.reach_errnos or errno in recipe.absent_errnos:
        return contradiction(entry, answers) or (
            ReachResult(Reachability.YES, errno)
            if errno in recipe.reach_errnos
            else ReachResult(Reachability.ABSENT, errno, f"{name}: {entry.symbols[-1]} has no {entry.name} here")
        )
    if errno == errnos.ENOSYS:
        return judge_enosys(answers)
    if errno in recipe.disabled_errnos:
        return judge_disabled(errno, recipe.disabled_errnos[errno], answers)
    if errno in FILTER_ERRNOS and answers.filtered:
        return ReachResult(Reachability.BLOCKED, errno, f"{name} from a seccomp filter")
    reason = f"unexpected answer {name}"
    if answers.filtered is not False:
        reason += "; it may be a seccomp filter's"
    return ReachResult(Reachability.UNKNOWN, errno, reason)


def contradiction(entry: SyscallEntry, answers: ReachAnswers) -> ReachResult | None:
    """Why an errno of the kernel's is not the kernel's: another question gets the same, or none of its answers."""
    first, second = answers.first, answers.second
    if second is None or (second.signal is None and second.errno in entry.recipe.second_errnos):
        return None
    name = answer_name(first)
    if second.signal is None and second.errno == first.errno:
        reason = f"{name} from a seccomp filter: it comes also where the kernel would answer otherwise"
        return ReachResult(Reachability.BLOCKED, first.errno, reason)
    reason = f"{name}, and then {answer_name(second)}: these two answers contradict each other"
    return ReachResult(Reachability.UNKNOWN, first.errno, reason)


def judge_enosys(answers: ReachAnswers) -> ReachResult:
    """Whose ENOSYS it is: the kernel's, a filter's, or that of an emulator such as qemu-user."""
    if answers.emulated:
        reason = "ENOSYS from an emulator: this program is for another machine than the kernel"
        return ReachResult(Reachability.UNKNOWN, errnos.ENOSYS, reason)
    if answers.implemented is False:
        return ReachResult(Reachability.ABSENT, errnos.ENOSYS, "ENOSYS: not in this kernel")
    if answers.implemented and answers.filtered:
        return ReachResult(Reachability.BLOCKED, errnos.ENOSYS, "ENOSYS from a seccomp filter: the kernel has it")
    if answers.implemented:
        reason = "ENOSYS, though the kernel has it: something answers in its place"
        return ReachResult(Reachability.UNKNOWN, errnos.ENOSYS, reason)
    if answers.filtered is not False:
        reason = "ENOSYS, from the kernel or from a seccomp filter: neither kallsyms nor BTF is readable"
        return ReachResult(Reachability.UNKNOWN, errnos.ENOSYS, reason)
    return ReachResult(Reachability.ABSENT, errnos.ENOSYS, "ENOSYS: not in this kernel")


def judge_disabled(errno: int, why: str, answers: ReachAnswers) -> ReachResult:
    """An errno that the kernel gives where it is set up so; ``why`` says how."""
    name = errno_name(errno)
    if answers.filtered is False or answers.disabled:
        return ReachResult(Reachability.DISABLED, errno, f"{why} ({name})")
    if answers.disabled is False:
        if errno in FILTER_ERRNOS and answers.filtered:
            return ReachResult(Reachability.BLOCKED, errno, f"{name} from a seccomp filter")
        return ReachResult(Reachability.UNKNOWN, errno, f"unexpected answer {name}")
    return ReachResult(Reachability.UNKNOWN, errno, f"{name}: {why}, or a seccomp filter refuses it")


def judge_check_fields(answer: CallAnswer, filtered: bool | None) -> CheckFieldsResult:
    """What an answer to CHECK_FIELDS says, which was asked with a whole page filled with FILL.

    A kernel that knows it rewrites all of the page: the masks of its fields, and zeros behind them. The errno proves
    nothing. With the page untouched, E2BIG and EFAULT are what a kernel without it says of such a size, or EINVAL.
    """
    name = answer_name(answer)
    if answer.signal is not None:
        if killed_by_filter(answer):
            return CheckFieldsResult(CheckFields.BLOCKED, reason=f"CHECK_FIELDS: {name} from a seccomp filter")
        return CheckFieldsResult(CheckFields.UNKNOWN, reason=f"CHECK_FIELDS: {name} instead of an answer")
    errno, page = answer.errno, answer.memory[0]
    if page != FILL * PAGE_SIZE:
        if errno and is_answer(page):
            return CheckFieldsResult(CheckFields.YES, errno, page)
        reason = f"CHECK_FIELDS: {name}, and part of the page rewritten"
        return CheckFieldsResult(CheckFields.UNKNOWN, errno, reason=reason)
    if errno in {errnos.E2BIG, errnos.EFAULT} or (errno == errnos.EINVAL and filtered is False):
        return CheckFieldsResult(CheckFields.NO, errno)
    if filtered and errno in FILTER_ERRNOS | {errnos.ENOSYS, EFTYPE}:
        return CheckFieldsResult(CheckFields.BLOCKED, errno, reason=f"CHECK_FIELDS: {name} from a seccomp filter")
    return CheckFieldsResult(CheckFields.UNKNOWN, errno, reason=f"CHECK_FIELDS: {name}, and nothing is rewritten")


def is_answer(page: bytes) -> bool:
    """Whether a page can be an answer: something in it, and zeros to its very end behind that."""
    used = len(page.rstrip(b"\0"))
    return 0 < used <= PAGE_SIZE // 2


def failed_control(control: Control, answer: CallAnswer) -> str | None:
    """Why nothing is probed, where a call that must fail does not fail as it must."""
    if answer.signal is None and answer.errno in control.expected:
        return None
    wanted = " or ".join(errno_name(number) if number else "success" for number in sorted(control.expected))
    needs = f"; it may need {control.needs}" if control.needs else ""
    return f"flags not tried: a call with {control.what} answers {answer_name(answer)}, not {wanted}{needs}"


class Witnesses(NamedTuple):
    """What tells of the struct as a whole: its size by probing, CHECK_FIELDS, BTF (None where it is not there)."""

    size: Size
    masks: CheckFieldsResult
    struct: btf.Struct | None

    @property
    def sizes(self) -> tuple[int, ...]:
        """All that are known."""
        every = (self.size.value, self.masks.size, self.struct.size if self.struct else None)
        return tuple(size for size in every if size is not None)

    def usable_size(self, first_size: int) -> int:
        """The size to make calls with: the kernel's, or the first version's, which every kernel takes."""
        return self.size.value or (self.struct.size if self.struct else first_size)

    def present(self, field: Field, first_size: int) -> Support:
        """Whether the kernel's struct has a field: by its size, and by BTF where it was only room in between."""
        if field.offset is not None and self.struct is not None:
            there = {member.name for member in self.struct.members if member.offset == field.offset}
            if there and all(SPARE.match(name) for name in there):
                return Support.NO
        if field.offset is None or field.end <= first_size:
            return Support.YES
        if not self.sizes:
            return Support.UNKNOWN
        return Support.YES if field.end <= max(self.sizes) else Support.NO

    def mask(self, field: Field) -> int | None:
        """What CHECK_FIELDS tells of a field."""
        if self.masks.support is not CheckFields.YES or field.offset is None:
            return None
        return self.masks.mask(field.offset, field.size)

    def newer_fields(self, end: int) -> Iterator[FieldReport]:
        """Fields from ``end`` on, where those end that have a name here: by BTF with their names, by CHECK_FIELDS
        with their masks."""
        covered = end
        if self.struct and end:
            for member in self.struct.members:
                if member.offset < end or not member.size or member.bits:
                    continue
                covered = max(covered, member.offset + member.size)
                if not SPARE.match(member.name):
                    yield self.newer_field(member.name, member.offset, member.size)
        for offset in range(covered, self.masks.size or 0, WORD):
            yield self.newer_field(f"field@{offset}", offset, WORD)

    def newer_field(self, name: str, offset: int, size: int) -> FieldReport:
        mask = self.mask(Field(name, offset, size, ""))
        return FieldReport(
            name=name,
            offset=offset,
            size=size,
            since=None,
            present=Support.YES,
            mask=mask,
            mask_method=None if mask is None else ProbeMethod.CHECK_FIELDS,
            note="newer than this tool",
        )


def judge_field(
    field: Field, present: Support, mask: int | None, flags: Sequence[Flag], results: Mapping[Flag, FlagResult]
) -> FieldReport:
    """What is known of a field: ``mask`` is what CHECK_FIELDS tells, ``results`` what a probe found of each flag.

    Of the ``flags`` without a name only those are reported that are accepted or in the mask.
    """
    reports = []
    for flag in flags:
        result = results.get(flag, FlagResult(Support.UNKNOWN))
        if present is Support.NO:
            result = FlagResult(Support.NO, ProbeMethod.SIZE, in_mask=Support.NO)
        if mask is not None:
            result = result._replace(in_mask=Support.YES if mask & flag.value == flag.value else Support.NO)
        if flag in field.flags or Support.YES in {result.accepted, result.in_mask}:
            reports.append(FlagReport(flag.name, flag.value, flag.since or None, result, flag.always_refused))
    method = ProbeMethod.CHECK_FIELDS
    if mask is None:
        mask, method = accepted_mask(reports), ProbeMethod.PROBE
        if any(report.result.method is ProbeMethod.SELF for report in reports):
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


def accepted_mask(reports: Sequence[FlagReport]) -> int | None:
    """The bits of all accepted flags; None where no answer says anything."""
    if all(report.result.accepted is Support.UNKNOWN for report in reports):
        return None
    mask = 0
    for report in reports:
        if report.result.accepted is Support.YES:
            mask |= report.value
    return mask


def judge_unreached(
    entry: SyscallEntry, reached: ReachResult, calls: int, struct: btf.Struct | None
) -> SyscallReport:
    """The report where no further question makes sense."""
    absent, disabled = reached.reach is Reachability.ABSENT, reached.reach is Reachability.DISABLED
    present = Support.NO if absent else Support.UNKNOWN
    if entry.recipe.flags_elsewhere:
        result = FlagResult(Support.UNKNOWN, note=entry.recipe.flags_elsewhere)
    elif disabled:
        result = FlagResult(Support.NO, ProbeMethod.PROBE, reached.errno, reached.reason)
    else:
        result = FlagResult(present, in_mask=present)
    fields = tuple(
        FieldReport(
            name=field.name,
            offset=field.offset,
            size=field.size,
            since=field.since,
            present=present,
            mask=None,
            mask_method=None,
            note=field.note,
            flags=tuple(
                FlagReport(flag.name, flag.value, flag.since, result, flag.always_refused) for flag in field.flags
            ),
        )
        for field in entry.fields
    )
    supports = {Reachability.BLOCKED: CheckFields.BLOCKED, Reachability.ABSENT: CheckFields.NO}
    return SyscallReport(
        syscall=entry.name,
        struct=entry.struct,
        since=entry.since,
        reachable=reached.reach,
        reachable_errno=reached.errno,
        check_fields=supports.get(reached.reach, CheckFields.UNKNOWN),
        check_fields_errno=None,
        size=Size(reason=reached.reason),
        size_check_fields=None,
        size_btf=struct.size if struct else None,
        calls=calls,
        fields=fields,
        reasons=(reached.reason,) if reached.reason else (),
    )
