# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports on kernels that are made up, also of kinds that no real one is."""

from __future__ import annotations

import errno as errnos

import pytest

from kprobe_tool.native import btf, emulator, host, kallsyms
from kprobe_tool.native.prober import Call, CallAnswer, Prober
from kprobe_tool.native.syscall import PAGE_SIZE
from kprobe_tool.probes.extensible_structs import ask, recipe, table
from kprobe_tool.probes.extensible_structs.model import (
    CheckFields,
    FieldReport,
    ProbeMethod,
    Reachability,
    Support,
    SyscallReport,
)

from .fake import FakeProber, Kernel, Openat2Kernel, answer_with, kill_caller

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


def acceptance(report: SyscallReport, flag: str) -> Support:
    return next(one.result.accepted for field in report.fields for one in field.flags if one.name == flag)


def test_a_kernel_without_check_fields_is_probed() -> None:
    report = report_of(Openat2Kernel())
    assert report.reachable is Reachability.YES
    assert report.check_fields is CheckFields.NO
    assert report.size.value == 24
    assert report.size.method is ProbeMethod.E2BIG
    assert [field.mask for field in report.fields] == [0x7FFFC3, 0xFFF, 0x3F]
    assert acceptance(report, "O_EMPTYPATH") is Support.NO
    assert acceptance(report, "__O_TMPFILE") is Support.YES, "tried with O_DIRECTORY and O_RDWR"
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
    assert acceptance(report, "O_EMPTYPATH") is taken
    mask = field(report, "flags").mask
    assert mask is not None
    assert bool(mask & EMPTYPATH) is (taken is Support.YES)


def test_bit_26_with_a_third_answer_is_unknown() -> None:
    def kernel(call: Call) -> CallAnswer:
        answer = Openat2Kernel(stripped=EMPTYPATH)(call)
        return answer_with(errnos.EACCES, call) if answer.errno == errnos.ENOENT else answer

    assert acceptance(report_of(kernel), "O_EMPTYPATH") is Support.UNKNOWN


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


def test_fields_of_a_grown_struct_are_found() -> None:
    grown = MASKS.ljust(24, b"\0") + (5).to_bytes(8, "little")
    report = report_of(Openat2Kernel(size=32, check_fields=grown))
    assert (report.size.value, report.size_check_fields, report.sizes_agree) == (32, 32, True)
    newer = field(report, "field@24")
    assert (newer.mask, newer.since, newer.present) == (5, None, Support.YES)


def test_a_newer_field_has_its_name_from_btf() -> None:
    struct = btf.Struct("open_how", 32, (btf.Member("flags", 0, 8, 0, 0, 1), btf.Member("cookie", 24, 8, 0, 0, 1)))
    report = report_of(Openat2Kernel(size=32), struct=struct)
    assert report.size_btf == 32
    assert field(report, "cookie").offset == 24


def test_witnesses_that_disagree_are_a_reason() -> None:
    struct = btf.Struct("open_how", 40, ())
    report = report_of(Openat2Kernel(), struct=struct)
    assert (report.size.value, report.size_btf, report.sizes_agree) == (24, 40, False)
    assert "the sizes that BTF, CHECK_FIELDS and the call itself give differ" in report.reasons


def test_a_32_bit_program_cannot_ask_for_check_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "SIZE_T_BITS", 32)
    prober = FakeProber(kill_caller)
    masks = ask.ask_check_fields(OPENAT2, prober, False)
    assert masks.support is CheckFields.UNKNOWN
    assert masks.reason is not None
    assert "no bit 63" in masks.reason
    assert prober.calls == 0, "nothing can be asked"


def test_a_filter_that_kills_for_check_fields_blocks_nothing_else() -> None:
    kernel = Openat2Kernel()
    report = report_of(
        lambda call: kill_caller(call) if call.args[3] == recipe.CHECK_FIELDS | PAGE_SIZE else kernel(call)
    )
    assert report.check_fields is CheckFields.BLOCKED
    assert field(report, "flags").mask == 0x7FFFC3, "the rest is asked by the next child"


def test_unreachable_flags_are_unknown_and_absent_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "find_implementation", lambda entry: ask.Implementation(False))
    blocked = report_of(lambda call: answer_with(errnos.EPERM, call), filtered=True)
    assert blocked.calls == 1
    assert {flag.result.accepted for one in blocked.fields for flag in one.flags} == {Support.UNKNOWN}
    absent = report_of(lambda call: answer_with(errnos.ENOSYS, call))
    assert {flag.result.accepted for one in absent.fields for flag in one.flags} == {Support.NO}


def test_flags_are_unknown_where_controls_do_not_fail() -> None:
    """On a kernel that takes any flag, and on one that opens what cannot be opened."""
    lenient = Openat2Kernel(flags=2**64 - 1)
    report = report_of(lenient)
    assert {flag.result.accepted for one in report.fields for flag in one.flags} == {Support.UNKNOWN}
    assert any("flag bit 63" in reason for reason in report.reasons)

    def open_anything(call: Call) -> CallAnswer:
        return answer_with(0, call) if call.args[3] == 24 else Openat2Kernel()(call)

    prober = FakeProber(open_anything)
    report = ask.Inquiry(OPENAT2, prober, False, None, False).report()
    assert prober.asked_calls[-1].args[3] == 24
    assert sum(call.args[3] == 24 for call in prober.asked_calls) == 1, (
        "nothing is probed after a control that succeeds"
    )
    assert acceptance(report, "O_PATH") is Support.UNKNOWN


def test_an_errno_that_no_recipe_knows_leaves_its_flag_unknown() -> None:
    def kernel(call: Call) -> CallAnswer:
        answer = Openat2Kernel()(call)
        odd = isinstance(call.args[3], int) and call.args[3] == 24 and call.args[2] == call_of("O_DIRECT")
        return answer_with(errnos.ENOTTY, call) if odd else answer

    def call_of(flag: str) -> object:
        one = next(one for one in OPENAT2.fields[0].flags if one.name == flag)
        return OPENAT2.recipe.flag_call(OPENAT2.fields[0], one.value, 24).args[2]

    report = report_of(kernel)
    direct = next(flag for flag in field(report, "flags").flags if flag.name == "O_DIRECT")
    assert (direct.result.accepted, direct.result.errno) == (Support.UNKNOWN, errnos.ENOTTY)
    assert acceptance(report, "O_PATH") is Support.YES


def test_exhaustive_finds_bits_without_a_name() -> None:
    kernel = Openat2Kernel(flags=0x7FFFC3 | 1 << 40)
    assert field(report_of(kernel), "flags").mask == 0x7FFFC3
    report = report_of(kernel, exhaustive=True)
    assert field(report, "flags").mask == 0x7FFFC3 | 1 << 40
    assert acceptance(report, "bit 40") is Support.YES
    assert [flag.name for flag in field(report, "flags").flags if flag.since is None] == ["bit 40"]


def test_a_silent_supervisor_leaves_the_call_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask_in_vain(self: object, call: Call) -> CallAnswer:
        raise TimeoutError

    monkeypatch.setattr(Prober, "ask", ask_in_vain)
    report = ask.ask(OPENAT2, with_btf=False)
    assert report.reachable is Reachability.UNKNOWN
    assert report.reasons == (f"no answer within {ask.TIME_LIMIT} s",)


def test_a_number_that_is_not_known_leaves_the_call_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "number", lambda name: None)
    assert report_of(kill_caller).reachable is Reachability.UNKNOWN


def patch_symbols(
    monkeypatch: pytest.MonkeyPatch, *there: str, prefix: str = "__x64_sys_", machine: str = "x86_64"
) -> None:
    """Make /proc/kallsyms that of a kernel with these system calls, for a program of ``machine``."""
    monkeypatch.setattr(kallsyms, "implemented_symbols", lambda names: frozenset(f"{prefix}{name}" for name in there))
    monkeypatch.setattr(ask, "machine_name", lambda: machine)


def test_symbols_and_types_show_what_the_kernel_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Symbols decide where any can be seen; types only show what there is."""
    monkeypatch.setattr(ask, "btf_struct", lambda entry: None)
    patch_symbols(monkeypatch, "openat", "openat2")
    assert ask.find_implementation(OPENAT2) == ask.Implementation(True)
    patch_symbols(monkeypatch, "openat", "openat2", prefix="sys_")
    assert ask.find_implementation(OPENAT2) == ask.Implementation(True)
    patch_symbols(monkeypatch, "openat")
    assert ask.find_implementation(OPENAT2) == ask.Implementation(False)
    patch_symbols(monkeypatch)
    assert ask.find_implementation(OPENAT2) == ask.Implementation(None)
    monkeypatch.setattr(ask, "btf_struct", lambda entry: btf.Struct("open_how", 24, ()))
    assert ask.find_implementation(OPENAT2) == ask.Implementation(True)


def test_without_kallsyms_it_is_unknown_what_the_kernel_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(names: object) -> None:
        raise PermissionError(errnos.EPERM, "Operation not permitted", "/proc/kallsyms")

    monkeypatch.setattr(kallsyms, "implemented_symbols", refuse)
    monkeypatch.setattr(ask, "btf_struct", lambda entry: None)
    assert ask.find_implementation(OPENAT2) == ask.Implementation(None)


@pytest.mark.parametrize(
    ("machine", "prefix", "emulated"),
    [
        ("x86_64", "__x64_sys_", False),
        ("i686", "__x64_sys_", False),
        ("aarch64", "__x64_sys_", True),
        ("aarch64", "__arm64_sys_", False),
        ("armv7l", "__arm64_sys_", False),
        ("mips64", "__x64_sys_", True),
        ("ppc64le", "sys_", False),
    ],
)
def test_symbols_of_another_machine_show_an_emulator(
    monkeypatch: pytest.MonkeyPatch, machine: str, prefix: str, emulated: bool
) -> None:
    """Under qemu-user, uname(2) tells the emulated machine, and /proc/kallsyms is the real kernel's."""
    patch_symbols(monkeypatch, "openat", prefix=prefix, machine=machine)
    assert ask.find_implementation(OPENAT2) == ask.Implementation(False, emulated)


def test_what_an_emulator_answers_is_not_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator, "emulator", lambda: "the emulator qemu-aarch64-static")
    prober = FakeProber(Openat2Kernel())
    found = ask.ask_reach(OPENAT2, prober, filtered=False)
    assert (found.reach, prober.asked_calls) == (Reachability.UNKNOWN, [])


def test_all_calls_of_an_entry_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Linux v5.3 there was ioctl(2) and no pidfd_open(2)."""
    patch_symbols(monkeypatch, "openat", "ioctl")
    assert ask.find_implementation(table.entry("PIDFD_GET_INFO")) == ask.Implementation(False)
    prober = FakeProber(lambda call: answer_with(errnos.ENOSYS, call))
    reached = ask.ask_reach(table.entry("PIDFD_GET_INFO"), prober, filtered=True)
    assert (reached.reach, reached.errno) == (Reachability.ABSENT, errnos.ENOSYS)


@pytest.mark.parametrize("name", table.NAMES)
@pytest.mark.parametrize("errno", [errnos.EINVAL, errnos.ENOTTY, errnos.EBADF])
def test_a_filter_that_answers_as_the_kernel_could_is_no_kernel(name: str, errno: int) -> None:
    """The errno is one of the kernel's, but the kernel does not answer every question with it."""
    recipe = table.entry(name).recipe
    reached = ask.ask_reach(table.entry(name), FakeProber(lambda call: answer_with(errno, call)), filtered=True)
    if errno in recipe.absent_errnos & recipe.second_errnos:
        # Before Linux v5.11 all questions about a missing ring are EBADF, which no filter answers.
        assert reached.reach is Reachability.ABSENT
    elif errno in recipe.reach_errnos | recipe.absent_errnos:
        assert reached.reach is Reachability.BLOCKED
    else:
        assert reached.reach is Reachability.UNKNOWN


def test_a_second_question_is_asked_only_behind_a_filter() -> None:
    for filtered, calls in ((False, 1), (True, 2), (None, 2)):
        prober = FakeProber(Openat2Kernel())
        assert ask.ask_reach(OPENAT2, prober, filtered).reach is Reachability.YES
        assert prober.calls == calls


def test_landlock_that_is_not_in_lsm_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = table.entry("landlock_create_ruleset")

    def reach(modules: str | None, filtered: bool) -> Reachability:
        monkeypatch.setattr(host, "read_line", lambda path: modules)
        return ask.ask_reach(entry, FakeProber(lambda call: answer_with(errnos.EOPNOTSUPP, call)), filtered).reach

    assert reach("capability,yama", filtered=False) is Reachability.DISABLED
    assert reach("capability,yama", filtered=True) is Reachability.DISABLED
    assert reach(None, filtered=True) is Reachability.UNKNOWN
    assert reach("capability,landlock", filtered=True) is Reachability.UNKNOWN


@pytest.mark.parametrize(
    ("sysctl", "initial", "capabilities", "disabled"),
    [
        ("0", True, (), False),
        ("1", True, (), None),
        ("2", True, (), None),
        ("2", True, ("CAP_BPF",), False),
        ("2", True, ("CAP_SYS_ADMIN", "CAP_NET_ADMIN"), False),
        ("2", True, ("CAP_NET_ADMIN",), None),
        ("2", False, ("CAP_SYS_ADMIN",), None),
        (None, True, (), None),
    ],
)
def test_bpf_is_disabled_for_the_unprivileged_by_sysctl(
    monkeypatch: pytest.MonkeyPatch,
    sysctl: str | None,
    initial: bool,
    capabilities: tuple[str, ...],
    disabled: bool | None,
) -> None:
    monkeypatch.setattr(host, "read_line", lambda path: sysctl)
    monkeypatch.setattr(host, "in_initial_user_namespace", lambda: initial)
    monkeypatch.setattr(host, "effective_capabilities", lambda: frozenset(capabilities))
    assert table.entry("bpf").recipe.is_disabled() is disabled


def test_without_proc_a_filter_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is /proc, no such line means a kernel without seccomp."""

    def missing(name: str) -> None:
        raise FileNotFoundError(errnos.ENOENT, "No such file or directory", "/proc/self/status")

    monkeypatch.setattr(host, "status_field", missing)
    assert ask.has_seccomp_filter() is None
    for line, filtered in ((None, False), ("0", False), ("1", True), ("2", True)):
        monkeypatch.setattr(host, "status_field", lambda name, line=line: line)
        assert ask.has_seccomp_filter() is filtered
