# SPDX-License-Identifier: GPL-2.0-or-later
"""What answers mean: asked of kernels that are made up, in ways that real ones are not."""

from __future__ import annotations

import errno as errnos
import signal
from functools import partial

import pytest

from kprobe_tool.native import btf, procfs
from kprobe_tool.native.prober import Answer, Call, Prober
from kprobe_tool.native.syscall import PAGE_SIZE
from kprobe_tool.probes.extensible_structs import ask, recipe, table
from kprobe_tool.probes.extensible_structs.model import (
    CheckFields,
    FieldReport,
    ProbeMethod,
    Reachability,
    Size,
    Support,
    SyscallReport,
)

from .fake import FakeProber, Kernel, Openat2Kernel, killed, says

OPENAT2 = table.entry("openat2")
EMPTYPATH = 1 << 26
MASKS = (0x1047FFFC3).to_bytes(8, "little") + (0xFFF).to_bytes(8, "little") + b"\x3f"


def report_of(
    kernel: Kernel,
    *,
    name: str = "openat2",
    filtered: bool = False,
    struct: btf.Struct | None = None,
    exhaustive: bool = False,
) -> SyscallReport:
    return ask.Inquiry(table.entry(name), FakeProber(kernel), filtered, struct, exhaustive).report()


def field(report: SyscallReport, name: str) -> FieldReport:
    return next(field for field in report.fields if field.name == name)


def accepted(report: SyscallReport, flag: str) -> Support:
    return next(one.result.accepted for field in report.fields for one in field.flags if one.name == flag)


def test_kernel_without_check_fields() -> None:
    report = report_of(Openat2Kernel())
    assert report.reachable is Reachability.YES
    assert report.check_fields is CheckFields.NO
    assert report.size.value == 24
    assert report.size.method is ProbeMethod.E2BIG
    assert [field.mask for field in report.fields] == [0x7FFFC3, 0xFFF, 0x3F]
    assert accepted(report, "O_EMPTYPATH") is Support.NO
    assert accepted(report, "__O_TMPFILE") is Support.YES, "tried with O_DIRECTORY and O_RDWR"
    assert report.calls <= 60


@pytest.mark.parametrize(
    ("kernel", "taken"),
    [
        (Openat2Kernel(), Support.NO),
        (Openat2Kernel(stripped=EMPTYPATH), Support.IGNORED),
        (Openat2Kernel(flags=0x7FFFC3 | EMPTYPATH), Support.YES),
    ],
)
def test_bit_26_passes_on_two_kinds_of_kernels(kernel: Kernel, taken: Support) -> None:
    report = report_of(kernel)
    assert accepted(report, "O_EMPTYPATH") is taken
    mask = field(report, "flags").mask
    assert mask is not None
    assert bool(mask & EMPTYPATH) is (taken is Support.YES)


def test_bit_26_with_a_third_answer_is_unknown() -> None:
    def kernel(call: Call) -> Answer:
        answer = Openat2Kernel(stripped=EMPTYPATH)(call)
        return says(errnos.EACCES, call) if answer.errno == errnos.ENOENT else answer

    assert accepted(report_of(kernel), "O_EMPTYPATH") is Support.UNKNOWN


@pytest.mark.parametrize("errno", [134, 135, 22, 7, 1])
def test_check_fields_is_recognised_by_the_page(errno: int) -> None:
    report = report_of(Openat2Kernel(check_fields=MASKS, check_fields_errno=errno))
    assert report.check_fields is CheckFields.YES
    assert report.check_fields_errno == errno
    assert report.size_check_fields == 24, "17 bytes are not zero"
    assert report.sizes_agree is True
    assert [field.mask for field in report.fields] == [0x1047FFFC3, 0xFFF, 0x3F]
    both = {flag.name: (flag.result.in_mask, flag.result.accepted) for flag in field(report, "flags").flags}
    assert both["O_EMPTYPATH"] == (Support.YES, Support.NO)
    assert both["O_PATH"] == (Support.YES, Support.YES)


def test_grown_struct() -> None:
    grown = MASKS.ljust(24, b"\0") + (5).to_bytes(8, "little")
    report = report_of(Openat2Kernel(size=32, check_fields=grown))
    assert (report.size.value, report.size_check_fields, report.sizes_agree) == (32, 32, True)
    newer = field(report, "field@24")
    assert (newer.mask, newer.since, newer.present) == (5, None, Support.YES)


def test_newer_field_has_its_name_from_btf() -> None:
    struct = btf.Struct("open_how", 32, (btf.Member("flags", 0, 8, 0, 0, 1), btf.Member("cookie", 24, 8, 0, 0, 1)))
    report = report_of(Openat2Kernel(size=32), struct=struct)
    assert report.size_btf == 32
    assert field(report, "cookie").offset == 24


def test_witnesses_that_disagree() -> None:
    struct = btf.Struct("open_how", 40, ())
    report = report_of(Openat2Kernel(), struct=struct)
    assert (report.size.value, report.size_btf, report.sizes_agree) == (24, 40, False)
    assert "the witnesses of the size disagree" in report.reasons


@pytest.mark.parametrize("size", [24, 32, 40, 104, 2048, PAGE_SIZE - 8])
def test_size_by_bisection(size: int) -> None:
    prober = FakeProber(Openat2Kernel(size=size))
    found = OPENAT2.recipe.ask_size(prober, [24])
    assert found.value == size
    assert prober.calls <= 2 + 13


def test_size_that_cannot_be_found() -> None:
    assert OPENAT2.recipe.ask_size(FakeProber(lambda call: says(errnos.EFAULT, call)), [24]).value is None
    assert OPENAT2.recipe.ask_size(FakeProber(lambda call: says(errnos.E2BIG, call)), [24]).value is None
    assert OPENAT2.recipe.ask_size(FakeProber(lambda call: says(errnos.EPERM, call)), [24]).value is None
    assert OPENAT2.recipe.ask_size(FakeProber(killed), [24]).value is None


def fill(prefix: bytes) -> bytes:
    return prefix + recipe.FILL * (PAGE_SIZE - len(prefix))


@pytest.mark.parametrize(
    ("errno", "page", "filtered", "support"),
    [
        (134, fill(b""), True, CheckFields.BLOCKED),
        (134, fill(b""), False, CheckFields.BLOCKED),
        (errnos.EPERM, fill(b""), True, CheckFields.BLOCKED),
        (errnos.ENOSYS, fill(b""), True, CheckFields.BLOCKED),
        (errnos.EPERM, fill(b""), False, CheckFields.UNKNOWN),
        (0, fill(b""), False, CheckFields.UNKNOWN),
        (errnos.E2BIG, fill(b""), True, CheckFields.NO),
        (errnos.EFAULT, fill(b""), False, CheckFields.NO),
        (errnos.EINVAL, fill(b""), False, CheckFields.NO),
        (134, fill(MASKS), False, CheckFields.UNKNOWN),
        (134, bytes(PAGE_SIZE), False, CheckFields.UNKNOWN),
        (0, MASKS.ljust(PAGE_SIZE, b"\0"), False, CheckFields.UNKNOWN),
        (999, MASKS.ljust(PAGE_SIZE, b"\0"), False, CheckFields.YES),
    ],
)
def test_answers_to_check_fields(errno: int, page: bytes, filtered: bool, support: CheckFields) -> None:
    masks = ask.ask_check_fields(OPENAT2, FakeProber(lambda call: says(errno, call, page)), filtered)
    assert masks.support is support
    assert (masks.reason is None) is (support in {CheckFields.YES, CheckFields.NO})


def test_check_fields_from_a_32_bit_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "SIZE_T_BITS", 32)
    prober = FakeProber(killed)
    masks = ask.ask_check_fields(OPENAT2, prober, False)
    assert masks.support is CheckFields.UNKNOWN
    assert masks.reason is not None
    assert "no bit 63" in masks.reason
    assert prober.calls == 0, "nothing can be asked"


def test_killed_by_check_fields_only() -> None:
    kernel = Openat2Kernel()
    report = report_of(lambda call: killed(call) if call.args[3] == recipe.CHECK_FIELDS | PAGE_SIZE else kernel(call))
    assert report.check_fields is CheckFields.BLOCKED
    assert field(report, "flags").mask == 0x7FFFC3, "the rest is asked by the next child"


@pytest.mark.parametrize(
    ("errno", "filtered", "there", "reach"),
    [
        (errnos.EINVAL, False, None, Reachability.YES),
        (errnos.EINVAL, True, None, Reachability.YES),
        (errnos.ENOSYS, False, True, Reachability.ABSENT),
        (errnos.ENOSYS, True, True, Reachability.BLOCKED),
        (errnos.ENOSYS, True, False, Reachability.ABSENT),
        (errnos.ENOSYS, True, None, Reachability.UNKNOWN),
        (errnos.EPERM, True, None, Reachability.BLOCKED),
        (errnos.EPERM, False, None, Reachability.UNKNOWN),
        (0, False, None, Reachability.UNKNOWN),
        (123, False, None, Reachability.UNKNOWN),
    ],
)
def test_reachability(
    monkeypatch: pytest.MonkeyPatch, errno: int, filtered: bool, there: bool | None, reach: Reachability
) -> None:
    monkeypatch.setattr(ask, "kernel_has", lambda entry: there)
    reached = ask.ask_reach(OPENAT2, FakeProber(lambda call: says(errno, call)), filtered)
    assert (reached.reach, reached.errno) == (reach, errno)


def test_reachability_of_the_killed() -> None:
    assert ask.ask_reach(OPENAT2, FakeProber(killed), True).reach is Reachability.BLOCKED
    for by in (signal.SIGKILL, signal.SIGSEGV, 0):
        prober = FakeProber(partial(killed, by=by))
        assert ask.ask_reach(OPENAT2, prober, True).reach is Reachability.UNKNOWN, "not what a filter kills with"
        assert ask.ask_check_fields(OPENAT2, prober, True).support is CheckFields.UNKNOWN


def test_unreachable_flags_are_unknown_and_absent_ones_are_not() -> None:
    blocked = report_of(lambda call: says(errnos.EPERM, call), filtered=True)
    assert blocked.calls == 1
    assert {flag.result.accepted for one in blocked.fields for flag in one.flags} == {Support.UNKNOWN}
    absent = report_of(lambda call: says(errnos.ENOSYS, call))
    assert {flag.result.accepted for one in absent.fields for flag in one.flags} == {Support.NO}


def test_flags_of_other_calls_are_not_absent_with_the_one_that_tells_them() -> None:
    entry = table.entry("IORING_REGISTER_QUERY")
    report = ask.report_unreached(entry, ask.ReachResult(Reachability.ABSENT, errnos.EINVAL, "no query"), 1, None)
    assert {field.present for field in report.fields} == {Support.NO}
    results = {flag.result for field in report.fields for flag in field.flags}
    assert {(result.accepted, result.in_mask) for result in results} == {(Support.UNKNOWN, Support.UNKNOWN)}
    assert {result.note for result in results} == {"only the query tells what io_uring takes"}


def test_controls_that_do_not_fail_as_they_must() -> None:
    """A kernel that takes any flag, and one that opens what cannot be opened."""
    lenient = Openat2Kernel(flags=2**64 - 1)
    report = report_of(lenient)
    assert {flag.result.accepted for one in report.fields for flag in one.flags} == {Support.UNKNOWN}
    assert any("flag bit 63" in reason for reason in report.reasons)

    def opens(call: Call) -> Answer:
        return says(0, call) if call.args[3] == 24 else Openat2Kernel()(call)

    prober = FakeProber(opens)
    report = ask.Inquiry(OPENAT2, prober, False, None, False).report()
    assert prober.asked[-1].args[3] == 24
    assert sum(call.args[3] == 24 for call in prober.asked) == 1, "nothing is probed after a control that succeeds"
    assert accepted(report, "O_PATH") is Support.UNKNOWN


def test_an_errno_that_no_recipe_knows() -> None:
    def kernel(call: Call) -> Answer:
        answer = Openat2Kernel()(call)
        odd = isinstance(call.args[3], int) and call.args[3] == 24 and call.args[2] == call_of("O_DIRECT")
        return says(errnos.ENOTTY, call) if odd else answer

    def call_of(flag: str) -> object:
        one = next(one for one in OPENAT2.fields[0].flags if one.name == flag)
        return OPENAT2.recipe.flag_call(OPENAT2.fields[0], one.value, 24).args[2]

    report = report_of(kernel)
    direct = next(flag for flag in field(report, "flags").flags if flag.name == "O_DIRECT")
    assert (direct.result.accepted, direct.result.errno) == (Support.UNKNOWN, errnos.ENOTTY)
    assert accepted(report, "O_PATH") is Support.YES


def test_exhaustive_finds_bits_without_a_name() -> None:
    kernel = Openat2Kernel(flags=0x7FFFC3 | 1 << 40)
    assert field(report_of(kernel), "flags").mask == 0x7FFFC3
    report = report_of(kernel, exhaustive=True)
    assert field(report, "flags").mask == 0x7FFFC3 | 1 << 40
    assert accepted(report, "bit 40") is Support.YES
    assert [flag.name for flag in field(report, "flags").flags if flag.since is None] == ["bit 40"]


def test_silent_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(self: object, call: Call) -> Answer:
        raise TimeoutError

    monkeypatch.setattr(Prober, "ask", silent)
    report = ask.ask(OPENAT2, with_btf=False)
    assert report.reachable is Reachability.UNKNOWN
    assert report.reasons == (f"no answer within {ask.TIME_LIMIT} s",)


def test_number_not_known_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "number", lambda name: None)
    assert report_of(killed).reachable is Reachability.UNKNOWN


def test_kernel_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Symbols decide when they are to be seen at all, types only when they say yes."""

    def symbols(*there: str, prefix: str = "__x64_sys_") -> None:
        monkeypatch.setattr(procfs, "implemented", lambda names: frozenset(f"{prefix}{name}" for name in there))

    monkeypatch.setattr(ask, "btf_struct", lambda entry: None)
    symbols("openat", "openat2")
    assert ask.kernel_has(OPENAT2) is True
    symbols("openat", "openat2", prefix="sys_")
    assert ask.kernel_has(OPENAT2) is True
    symbols("openat")
    assert ask.kernel_has(OPENAT2) is False
    symbols()
    assert ask.kernel_has(OPENAT2) is None
    monkeypatch.setattr(ask, "btf_struct", lambda entry: btf.Struct("open_how", 24, ()))
    assert ask.kernel_has(OPENAT2) is True


def test_spare_room_is_no_field() -> None:
    struct = btf.Struct("mnt_id_req", 32, (btf.Member("spare", 4, 4, 0, 0, 1), btf.Member("size", 0, 4, 0, 0, 1)))
    inquiry = ask.Inquiry(table.entry("statmount"), FakeProber(killed), False, struct, False)
    inquiry.size = Size(32, ProbeMethod.E2BIG)
    inquiry.masks = ask.CheckFieldsResult(CheckFields.NO)
    present = {one.name: inquiry.present(one) for one in inquiry.entry.fields}
    assert present["mnt_ns_fd"] is Support.NO
    assert present["mnt_ns_id"] is Support.YES
