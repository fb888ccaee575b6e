# SPDX-License-Identifier: GPL-2.0-or-later
"""The meaning of answers, in tables: whose an errno is, what a page of CHECK_FIELDS holds, and what a field takes."""

from __future__ import annotations

import errno as errnos
import signal

import pytest

from kprobe_tool.native import btf
from kprobe_tool.native.prober import CallAnswer
from kprobe_tool.native.syscall import PAGE_SIZE
from kprobe_tool.probes.extensible_structs import judge, recipe, table
from kprobe_tool.probes.extensible_structs.judge import CheckFieldsResult, ReachAnswers, ReachResult, Witnesses
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
)

OPENAT2 = table.entry("openat2")
MASKS = (0x1047FFFC3).to_bytes(8, "little") + (0xFFF).to_bytes(8, "little") + b"\x3f"
NO_MASKS = CheckFieldsResult(CheckFields.NO)


def errno_answer(number: int, *memory: bytes) -> CallAnswer:
    return CallAnswer(number, -1 if number else 0, memory)


def death_by(by: int) -> CallAnswer:
    return CallAnswer(0, 0, (), signal=by)


@pytest.mark.parametrize(
    ("number", "filtered", "reach"),
    [
        (errnos.EINVAL, False, Reachability.YES),
        (errnos.EPERM, True, Reachability.BLOCKED),
        (errnos.EACCES, True, Reachability.BLOCKED),
        (errnos.EPERM, False, Reachability.UNKNOWN),
        (errnos.EPERM, None, Reachability.UNKNOWN),
        (errnos.EOPNOTSUPP, True, Reachability.UNKNOWN),
        (errnos.ENOMEM, True, Reachability.UNKNOWN),
        (errnos.EMFILE, True, Reachability.UNKNOWN),
        (0, False, Reachability.UNKNOWN),
        (123, True, Reachability.UNKNOWN),
    ],
)
def test_a_filter_is_blamed_for_what_filters_answer_only(
    number: int, filtered: bool | None, reach: Reachability
) -> None:
    """Where there is no filter, none is blamed."""
    reached = judge.judge_reach(OPENAT2, ReachAnswers(errno_answer(number), filtered=filtered))
    assert (reached.reach, reached.errno) == (reach, number)
    assert (reached.reason is None) is (reach is Reachability.YES)
    if reach is Reachability.UNKNOWN:
        assert reached.reason is not None
        assert ("may be a seccomp filter's" in reached.reason) is (filtered is not False)


@pytest.mark.parametrize(
    ("filtered", "implemented", "emulated", "reach"),
    [
        (False, False, False, Reachability.ABSENT),
        (False, None, False, Reachability.ABSENT),
        (False, True, False, Reachability.UNKNOWN),
        (True, True, False, Reachability.BLOCKED),
        (True, False, False, Reachability.ABSENT),
        (True, None, False, Reachability.UNKNOWN),
        (None, None, False, Reachability.UNKNOWN),
        (None, True, False, Reachability.UNKNOWN),
        (None, False, False, Reachability.ABSENT),
        (True, True, True, Reachability.UNKNOWN),
        (False, False, True, Reachability.UNKNOWN),
    ],
)
def test_enosys_is_absent_only_if_nobody_filters(
    filtered: bool | None, implemented: bool | None, emulated: bool, reach: Reachability
) -> None:
    answers = ReachAnswers(errno_answer(errnos.ENOSYS), filtered=filtered, implemented=implemented, emulated=emulated)
    reached = judge.judge_reach(OPENAT2, answers)
    assert (reached.reach, reached.errno) == (reach, errnos.ENOSYS)
    assert reached.reason
    assert ("emulator" in reached.reason) is emulated


@pytest.mark.parametrize(("name", "number"), [("landlock_create_ruleset", errnos.EOPNOTSUPP), ("bpf", errnos.EPERM)])
@pytest.mark.parametrize(
    ("filtered", "disabled", "reach"),
    [
        (False, None, Reachability.DISABLED),
        (False, True, Reachability.DISABLED),
        (None, True, Reachability.DISABLED),
        (True, True, Reachability.DISABLED),
        (True, None, Reachability.UNKNOWN),
        (None, False, Reachability.UNKNOWN),
    ],
)
def test_a_kernel_that_is_set_up_to_refuse_is_disabled(
    name: str, number: int, filtered: bool | None, disabled: bool | None, reach: Reachability
) -> None:
    """The kernel's own errno is never blamed on a filter, not even where there is one."""
    answers = ReachAnswers(errno_answer(number), filtered=filtered, disabled=disabled)
    reached = judge.judge_reach(table.entry(name), answers)
    assert (reached.reach, reached.errno) == (reach, number)
    assert reached.reason


def test_an_errno_that_this_kernel_does_not_give_is_a_filter_s() -> None:
    """Only an errno that filters answer is taken for a filter's."""
    answers = ReachAnswers(errno_answer(errnos.EPERM), filtered=True, disabled=False)
    assert judge.judge_reach(table.entry("bpf"), answers).reach is Reachability.BLOCKED
    answers = ReachAnswers(errno_answer(errnos.EOPNOTSUPP), filtered=True, disabled=False)
    assert judge.judge_reach(table.entry("landlock_create_ruleset"), answers).reach is Reachability.UNKNOWN


@pytest.mark.parametrize(
    ("first", "second", "reach"),
    [
        (errnos.EINVAL, errno_answer(errnos.EFAULT), Reachability.YES),
        (errnos.EINVAL, errno_answer(errnos.EMFILE), Reachability.YES),
        (errnos.EINVAL, errno_answer(errnos.EINVAL), Reachability.BLOCKED),
        (errnos.EINVAL, errno_answer(errnos.EPERM), Reachability.UNKNOWN),
        (errnos.EINVAL, death_by(signal.SIGSYS), Reachability.UNKNOWN),
    ],
)
def test_the_second_answer_must_be_another_errno(first: int, second: CallAnswer, reach: Reachability) -> None:
    reached = judge.judge_reach(OPENAT2, ReachAnswers(errno_answer(first), second, filtered=True))
    assert reached.reach is reach


@pytest.mark.parametrize(
    ("name", "number", "second", "reach"),
    [
        ("PIDFD_GET_INFO", errnos.ENOTTY, errnos.EBADF, Reachability.ABSENT),
        ("PIDFD_GET_INFO", errnos.EINVAL, errnos.EBADF, Reachability.ABSENT),
        ("PIDFD_GET_INFO", errnos.EINVAL, errnos.EINVAL, Reachability.BLOCKED),
        ("PIDFD_GET_INFO", 0, errnos.EBADF, Reachability.YES),
        ("IORING_REGISTER_QUERY", errnos.EINVAL, errnos.EBADF, Reachability.ABSENT),
        ("IORING_REGISTER_QUERY", errnos.EINVAL, errnos.EINVAL, Reachability.BLOCKED),
    ],
)
def test_einval_of_a_filter_is_not_absent(name: str, number: int, second: int, reach: Reachability) -> None:
    reached = judge.judge_reach(
        table.entry(name), ReachAnswers(errno_answer(number), errno_answer(second), filtered=True)
    )
    assert reached.reach is reach


def test_a_call_that_kills_is_blocked_by_seccomp_only() -> None:
    assert judge.judge_reach(OPENAT2, ReachAnswers(death_by(signal.SIGSYS))).reach is Reachability.BLOCKED
    assert judge.judge_check_fields(death_by(signal.SIGSYS), True).support is CheckFields.BLOCKED
    for by in (signal.SIGKILL, signal.SIGSEGV, 0):
        reached = judge.judge_reach(OPENAT2, ReachAnswers(death_by(by), filtered=True))
        assert reached.reach is Reachability.UNKNOWN, "not what a filter kills with"
        assert judge.judge_check_fields(death_by(by), True).support is CheckFields.UNKNOWN


def fill(prefix: bytes) -> bytes:
    return prefix + recipe.FILL * (PAGE_SIZE - len(prefix))


@pytest.mark.parametrize(
    ("number", "page", "filtered", "support"),
    [
        (134, fill(b""), True, CheckFields.BLOCKED),
        (134, fill(b""), False, CheckFields.UNKNOWN),
        (errnos.EPERM, fill(b""), True, CheckFields.BLOCKED),
        (errnos.EACCES, fill(b""), True, CheckFields.BLOCKED),
        (errnos.ENOSYS, fill(b""), True, CheckFields.BLOCKED),
        (errnos.EPERM, fill(b""), False, CheckFields.UNKNOWN),
        (errnos.EPERM, fill(b""), None, CheckFields.UNKNOWN),
        (errnos.ENOMEM, fill(b""), True, CheckFields.UNKNOWN),
        (0, fill(b""), False, CheckFields.UNKNOWN),
        (errnos.E2BIG, fill(b""), True, CheckFields.NO),
        (errnos.EFAULT, fill(b""), False, CheckFields.NO),
        (errnos.EINVAL, fill(b""), False, CheckFields.NO),
        (errnos.EINVAL, fill(b""), True, CheckFields.UNKNOWN),
        (134, fill(MASKS), False, CheckFields.UNKNOWN),
        (134, bytes(PAGE_SIZE), False, CheckFields.UNKNOWN),
        (134, b"\x01" + bytes(PAGE_SIZE - 1), False, CheckFields.YES),
        (134, b"\x01" * (PAGE_SIZE // 2) + bytes(PAGE_SIZE // 2), False, CheckFields.YES),
        (134, b"\x01" * (PAGE_SIZE // 2 + 1) + bytes(PAGE_SIZE // 2 - 1), False, CheckFields.UNKNOWN),
        (0, MASKS.ljust(PAGE_SIZE, b"\0"), False, CheckFields.UNKNOWN),
        (999, MASKS.ljust(PAGE_SIZE, b"\0"), False, CheckFields.YES),
    ],
)
def test_check_fields_is_told_by_the_page(
    number: int, page: bytes, filtered: bool | None, support: CheckFields
) -> None:
    masks = judge.judge_check_fields(errno_answer(number, page), filtered)
    assert (masks.support, masks.errno) == (support, number)
    assert (masks.reason is None) is (support in {CheckFields.YES, CheckFields.NO})


@pytest.mark.parametrize(("used", "size"), [(1, 8), (8, 8), (17, 24), (24, 24)])
def test_the_size_ends_with_the_last_mask(used: int, size: int) -> None:
    page = (b"\x01" * used).ljust(PAGE_SIZE, b"\0")
    assert CheckFieldsResult(CheckFields.YES, 134, page).size == size
    assert CheckFieldsResult(CheckFields.NO, 134, page).size is None


def test_a_failed_control_says_why() -> None:
    (control, _) = OPENAT2.recipe.controls(24)
    assert judge.failed_control(control, errno_answer(errnos.EFAULT)) is None
    reason = judge.failed_control(control, errno_answer(errnos.EINVAL))
    assert reason == "flags not tried: a call with a bad path answers EINVAL, not EFAULT or ENFILE or EMFILE"
    assert judge.failed_control(control, death_by(signal.SIGSYS)) is not None
    needy, _ = table.entry("perf_event_open").recipe.controls(64)
    assert "it may need CAP_PERFMON" in str(judge.failed_control(needy, errno_answer(errnos.EACCES)))
    taken, _ = table.entry("sched_setattr").recipe.controls(48)
    assert "not success" in str(judge.failed_control(taken, errno_answer(errnos.EINVAL)))


def member(name: str, offset: int, size: int = 8, bits: int = 0) -> btf.Member:
    return btf.Member(name, offset, size, 0, bits, 1)


UNION = btf.Struct("mnt_id_req", 24, (member("spare", 4, 4), member("mnt_ns_fd", 4, 4)))
STRUCT = btf.Struct("mnt_id_req", 32, (member("size", 0, 4), member("spare", 4, 4), member("mnt_id", 8)))


@pytest.mark.parametrize(
    ("field", "size", "struct", "present"),
    [
        (Field("size", 0, 4, "6.8"), 24, STRUCT, Support.YES),
        (Field("mnt_ns_fd", 4, 4, "6.18"), 24, STRUCT, Support.NO),
        (Field("mnt_ns_fd", 4, 4, "6.18"), 24, None, Support.YES),
        (Field("mnt_ns_fd", 4, 4, "6.18"), 24, UNION, Support.YES),
        (Field("param", 16, 8, "6.8"), None, None, Support.YES),
        (Field("mnt_ns_id", 24, 8, "6.11"), 24, None, Support.NO),
        (Field("mnt_ns_id", 24, 8, "6.11"), 32, None, Support.YES),
        (Field("mnt_ns_id", 24, 8, "6.11"), 24, STRUCT, Support.YES),
        (Field("mnt_ns_id", 24, 8, "6.11"), None, None, Support.UNKNOWN),
        (Field("flags", None, 4, "6.8"), None, None, Support.YES),
    ],
)
def test_a_field_is_present_by_any_witness_of_the_size(
    field: Field, size: int | None, struct: btf.Struct | None, present: Support
) -> None:
    """Any witness of the size will do; what BTF calls spare is no field."""
    assert Witnesses(Size(size), NO_MASKS, struct).present(field, 24) is present


@pytest.mark.parametrize(("size", "struct", "usable"), [(88, STRUCT, 88), (None, STRUCT, 32), (None, None, 24)])
def test_the_usable_size_is_that_of_the_best_witness(
    size: int | None, struct: btf.Struct | None, usable: int
) -> None:
    assert Witnesses(Size(size), NO_MASKS, struct).usable_size(24) == usable


def test_newer_fields_are_those_behind_the_known_ones() -> None:
    masks = CheckFieldsResult(
        CheckFields.YES, 134, (bytes(24) + b"\x07" + bytes(15) + b"\x01").ljust(PAGE_SIZE, b"\0")
    )
    struct = btf.Struct("open_how", 32, (member("resolve", 16), member("cookie", 24), member("spare", 32, 0)))

    def newer_fields(
        struct: btf.Struct | None, masks: CheckFieldsResult, end: int = 24
    ) -> list[tuple[str, int | None, int | None]]:
        return [
            (field.name, field.offset, field.mask) for field in Witnesses(Size(24), masks, struct).newer_fields(end)
        ]

    assert newer_fields(struct, masks) == [("cookie", 24, 7), ("field@32", 32, 0), ("field@40", 40, 1)]
    assert newer_fields(struct, NO_MASKS) == [("cookie", 24, None)]
    assert newer_fields(None, masks) == [("field@24", 24, 7), ("field@32", 32, 0), ("field@40", 40, 1)]
    assert newer_fields(None, NO_MASKS) == []
    assert newer_fields(struct, NO_MASKS, end=0) == [], "of a struct without named fields all would be newer"
    bits = btf.Struct("open_how", 32, (member("bit", 24, 8, 1), member("__reserved", 24)))
    assert newer_fields(bits, NO_MASKS) == []


A, B, UNNAMED = Flag("A", 1, "5.6"), Flag("B", 2, "5.8"), Flag("bit 4", 16, "")
FIELD = Field("flags", 0, 8, "5.6", (A, B))
YES, NO = FlagResult(Support.YES, ProbeMethod.PROBE), FlagResult(Support.NO, ProbeMethod.PROBE)


def results_of(report: FieldReport) -> list[tuple[str, Support, Support]]:
    return [(flag.name, flag.result.accepted, flag.result.in_mask) for flag in report.flags]


def test_without_a_mask_the_accepted_flags_are_it() -> None:
    report = judge.judge_field(FIELD, Support.YES, None, (A, B), {A: YES, B: NO})
    assert results_of(report) == [("A", Support.YES, Support.UNKNOWN), ("B", Support.NO, Support.UNKNOWN)]
    assert (report.mask, report.mask_method) == (1, ProbeMethod.PROBE)
    report = judge.judge_field(FIELD, Support.YES, None, (A, B), {A: YES})
    assert results_of(report)[1] == ("B", Support.UNKNOWN, Support.UNKNOWN)
    report = judge.judge_field(FIELD, Support.YES, None, (A, B), {})
    assert (report.mask, report.mask_method) == (None, None)


def test_the_mask_and_what_is_accepted_are_two_answers() -> None:
    report = judge.judge_field(FIELD, Support.YES, 0x12, (A, B, UNNAMED), {A: YES, B: NO, UNNAMED: NO})
    assert results_of(report) == [
        ("A", Support.YES, Support.NO),
        ("B", Support.NO, Support.YES),
        ("bit 4", Support.NO, Support.YES),
    ]
    assert (report.mask, report.mask_method) == (0x12, ProbeMethod.CHECK_FIELDS)
    assert [flag.since for flag in report.flags] == ["5.6", "5.8", None]


def test_a_value_of_several_bits_is_in_the_mask_as_a_whole() -> None:
    wide = Flag("WIDE", 3, "5.6")
    report = judge.judge_field(Field("f", 0, 8, "5.6", (wide,)), Support.YES, 1, (wide,), {wide: YES})
    assert results_of(report) == [("WIDE", Support.YES, Support.NO)]


def test_unnamed_bits_are_told_where_they_are_accepted() -> None:
    report = judge.judge_field(FIELD, Support.YES, None, (A, UNNAMED), {A: YES, UNNAMED: NO})
    assert [flag.name for flag in report.flags] == ["A"]
    report = judge.judge_field(FIELD, Support.YES, None, (A, UNNAMED), {A: NO, UNNAMED: YES})
    assert [flag.name for flag in report.flags] == ["A", "bit 4"]
    assert report.mask == 16


def test_an_absent_field_takes_no_flag() -> None:
    report = judge.judge_field(FIELD, Support.NO, None, (A, B), {A: YES})
    assert results_of(report) == [("A", Support.NO, Support.NO), ("B", Support.NO, Support.NO)]
    assert {flag.result.method for flag in report.flags} == {ProbeMethod.SIZE}
    assert report.mask == 0


def test_a_mask_that_the_kernel_tells_is_self_described() -> None:
    self_described = FlagResult(Support.YES, ProbeMethod.SELF)
    assert (
        judge.judge_field(FIELD, Support.YES, None, (A, B), {A: self_described, B: NO}).mask_method
        is ProbeMethod.SELF
    )


def flag_reports(*accepted: Support) -> list[FlagReport]:
    return [FlagReport("F", 1 << bit, None, FlagResult(each)) for bit, each in enumerate(accepted)]


def test_the_accepted_mask_has_the_accepted_flags_only() -> None:
    assert judge.accepted_mask([]) is None
    assert judge.accepted_mask(flag_reports(Support.UNKNOWN, Support.UNKNOWN)) is None
    assert judge.accepted_mask(flag_reports(Support.UNKNOWN, Support.NO, Support.IGNORED)) == 0
    assert judge.accepted_mask(flag_reports(Support.YES, Support.UNKNOWN, Support.YES)) == 5


@pytest.mark.parametrize(
    ("reach", "present", "accepted", "in_mask", "support"),
    [
        (Reachability.ABSENT, Support.NO, Support.NO, Support.NO, CheckFields.NO),
        (Reachability.BLOCKED, Support.UNKNOWN, Support.UNKNOWN, Support.UNKNOWN, CheckFields.BLOCKED),
        (Reachability.UNKNOWN, Support.UNKNOWN, Support.UNKNOWN, Support.UNKNOWN, CheckFields.UNKNOWN),
        (Reachability.DISABLED, Support.UNKNOWN, Support.NO, Support.UNKNOWN, CheckFields.UNKNOWN),
    ],
)
def test_what_is_not_reached_has_no_fields(
    reach: Reachability, present: Support, accepted: Support, in_mask: Support, support: CheckFields
) -> None:
    struct = btf.Struct("landlock_ruleset_attr", 24, ())
    entry = table.entry("landlock_create_ruleset")
    report = judge.judge_unreached(entry, ReachResult(reach, errnos.EPERM, "why"), 3, struct)
    assert {field.present for field in report.fields} == {present}
    results = {flag.result for field in report.fields for flag in field.flags}
    assert {(result.accepted, result.in_mask) for result in results} == {(accepted, in_mask)}
    assert (report.check_fields, report.size_btf, report.calls) == (support, 24, 3)
    assert (report.reachable, report.reachable_errno, report.reasons) == (reach, errnos.EPERM, ("why",))
    assert judge.judge_unreached(entry, ReachResult(reach), 3, None).reasons == ()


def test_flags_of_other_calls_are_not_absent_with_the_one_that_tells_them() -> None:
    entry = table.entry("IORING_REGISTER_QUERY")
    report = judge.judge_unreached(entry, ReachResult(Reachability.ABSENT, errnos.EINVAL, "no query"), 1, None)
    assert {field.present for field in report.fields} == {Support.NO}
    results = {flag.result for field in report.fields for flag in field.flags}
    assert {(result.accepted, result.in_mask) for result in results} == {(Support.UNKNOWN, Support.UNKNOWN)}
    assert {result.note for result in results} == {
        "only this query says which flags io_uring takes, and it was not answered"
    }
