# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole logs: what is found at their end, whatever stands around them and wherever they are cut."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.probes.verifier.diagnosis import Category, Diagnosis, LogOutcome, LostPart
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes, explain_fd

DATA = Path(__file__).parents[3] / "data" / "verifier"
LIBBPF = (DATA / "null-check-6.18.txt").read_text(encoding="utf-8")
LINES = LIBBPF.splitlines()
LOG = LINES[2 : LINES.index("-- END PROG LOAD LOG --")]
"""The same log without what libbpf and bpftool have put around it."""

TRAILER = "processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0"


def explain_lines(*lines: str, errno: str | None = None) -> Diagnosis:
    return explain_bytes("".join(f"{line}\n" for line in lines).encode(), errno)


def check_null(diagnosis: Diagnosis) -> None:
    assert diagnosis.outcome is LogOutcome.REJECTED
    assert (diagnosis.category, diagnosis.problem) == (Category.REGISTER, "Invalid dereference")
    assert diagnosis.rule == "null-dereference"
    assert diagnosis.message == "R0 invalid mem access 'map_value_or_null'"
    place = diagnosis.place
    assert (place.insn, place.file, place.line, place.source) == (7, "null.c", 13, "*value += 1;")
    assert place.instruction == "(79) r1 = *(u64 *)(r0 +0)"
    assert [step.place.insn for step in diagnosis.path] == [6]


def test_what_bpftool_prints_is_explained() -> None:
    diagnosis = explain_bytes(LIBBPF.encode())
    check_null(diagnosis)
    assert (diagnosis.program, diagnosis.errno, diagnosis.truncated) == ("count", "EACCES", None)


@pytest.mark.parametrize(
    "around",
    [
        "{}\n",
        "{}\r\n",
        "\t{}\n",
        "    | {}\n",
        "[   12.345678] {}\n",
        "<6>[   12.345678][  T123] {}\n",
        "Nov 21 07:43:30 host loader[123]: {}\n",
        "2026-11-21T07:43:30+0000 host loader[123]: {}\n",
        "\x1b[31m{}\x1b[0m\n",
    ],
)
def test_what_stands_before_each_line_is_left_out(around: str) -> None:
    check_null(explain_bytes("".join(around.format(line) for line in LOG).encode()))


def test_what_cilium_prints_is_explained() -> None:
    text = "load program: permission denied:\n" + "".join(f"\t{line}\n" for line in LOG)
    diagnosis = explain_bytes(text.encode())
    check_null(diagnosis)
    assert diagnosis.errno == "EACCES"


def test_the_last_lines_alone_are_explained() -> None:
    diagnosis = explain_lines("R0 invalid mem access 'map_value_or_null' (21 line(s) omitted)", *LOG[-2:])
    assert diagnosis.rule == "null-dereference"
    assert diagnosis.place.insn is None
    assert diagnosis.path == ()
    assert any("no instructions" in note for note in diagnosis.notes)


def test_the_last_of_several_programs_is_explained() -> None:
    other = LIBBPF.replace("'count'", "'other'").replace("R0 invalid mem access 'map_value_or_null'", "R2 !read_ok")
    diagnosis = explain_bytes((LIBBPF + other).encode())
    assert (diagnosis.program, diagnosis.rule) == ("other", "unreadable-register")


def test_a_message_may_stand_on_the_line_of_an_instruction() -> None:
    diagnosis = explain_lines(
        "0: R1=ctx() R10=fp0",
        "1: (85) call bpf_get_prandom_u32#7    ; R0=scalar()",
        "2: (55) if r0 != 0x0 goto pc-2 1: R0=scalar(umin=1) R6=0 R10=fp0",
        "1: (85) call bpf_get_prandom_u32#7    ; R0=scalar()",
        "2: (55) if r0 != 0x0 goto pc-2 infinite loop detected at insn 1",
        "cur state: R0=scalar(umin=1) R6=0 R10=fp0",
        "old state: R0=scalar(umin=1) R6=0 R10=fp0",
        TRAILER,
    )
    assert (diagnosis.rule, diagnosis.place.insn) == ("infinite-loop", 1)


def test_a_leak_is_not_its_last_line() -> None:
    diagnosis = explain_lines(
        "0: R1=ctx() R10=fp0",
        "4: (85) call bpf_ringbuf_reserve#131  ; R0=ringbuf_mem_or_null(id=2,ref_obj_id=2,sz=8) refs=2",
        "5: (b7) r0 = 0                        ; R0=0 refs=2",
        "6: (95) exit",
        "Unreleased reference id=2 alloc_insn=4",
        "BPF_EXIT instruction in main prog would lead to reference leak",
        TRAILER,
    )
    assert (diagnosis.rule, diagnosis.place.insn) == ("unreleased-reference", 6)
    assert [(step.kind, step.place.insn) for step in diagnosis.path] == [("acquired", 4)]


def test_bounds_are_told_by_their_own_message() -> None:
    diagnosis = explain_lines(
        "7: (85) call bpf_crypto_encrypt#100",
        "R2 min value is outside of the allowed memory range",
        "arg#1 arg#2 memory, len pair leads to invalid memory access",
        TRAILER,
    )
    assert diagnosis.rule == "bounds-minimum"
    diagnosis = explain_lines(
        "7: (85) call bpf_crypto_encrypt#100",
        "R2 min value is negative, either use unsigned or 'var &= const'",
        "arg#1 arg#2 memory, len pair leads to invalid memory access",
        TRAILER,
    )
    assert diagnosis.rule == "argument-memory"


@pytest.mark.parametrize(
    "message",
    [
        "the moon is in the wrong phase",
        "R1 is a teapot",
        "\x1b]0;title\x07 hostile",
        "a" * 5000,
    ],
)
def test_unknown_messages_are_repeated(message: str) -> None:
    diagnosis = explain_lines("7: (95) exit", message, TRAILER)
    assert not diagnosis.recognised
    assert (diagnosis.category, diagnosis.problem, diagnosis.suggestion) == (None, None, None)
    assert diagnosis.message is not None
    assert diagnosis.message[:40] in message
    assert diagnosis.reason == f"unrecognised message: {diagnosis.message}"
    assert diagnosis.place.insn == 7


def test_remarks_are_no_messages() -> None:
    remark = "arg#0 reference type('UNKNOWN ') size cannot be determined: -22"
    diagnosis = explain_lines(remark, "0: R1=ctx() R10=fp0", "0: (95) exit", "R0 !read_ok", TRAILER)
    assert diagnosis.rule == "unreadable-register"


@pytest.mark.parametrize(
    "lines",
    [
        (TRAILER,),
        ("0: (b7) r0 = 0   ; R0=0", "1: (95) exit", TRAILER),
        ("0: (b7) r0 = 0   ; R0=0", "1: (95) exit", "from 3 to 5: safe", "verification time 12 usec", TRAILER),
        ("Func#1 ('f') is safe for any args that match its prototype", TRAILER),
    ],
)
def test_a_log_without_a_message_is_accepted(lines: tuple[str, ...]) -> None:
    diagnosis = explain_lines(*lines)
    assert diagnosis.outcome is LogOutcome.ACCEPTED
    assert diagnosis.truncated is None


def test_a_finished_log_of_a_load_that_failed_is_not_accepted() -> None:
    diagnosis = explain_lines(TRAILER, errno="EFAULT")
    assert diagnosis.outcome is LogOutcome.REJECTED
    assert not diagnosis.recognised


def test_the_end_is_lost() -> None:
    """Up to Linux v6.3 a buffer that is too small has the beginning."""
    diagnosis = explain_bytes("\n".join(LOG)[:300].encode(), "ENOSPC")
    assert diagnosis.outcome is LogOutcome.UNKNOWN
    assert diagnosis.truncated is not None
    assert (diagnosis.truncated.lost, diagnosis.truncated.size) == (LostPart.TAIL, 300)
    assert "log_size" in diagnosis.truncated.advice


@pytest.mark.parametrize("errno", [None, "ENOSPC"])
def test_the_beginning_is_lost(errno: str | None) -> None:
    """Since Linux v6.4 a buffer that is too small has the end, and the diagnosis is all there."""
    text = "\n".join(LOG) + "\n"
    diagnosis = explain_bytes(text[text.index("1                        ;") :].encode(), errno)
    assert diagnosis.rule == "null-dereference"
    if errno is None:
        # Somebody may have left it out.
        assert diagnosis.truncated is None
        return
    assert diagnosis.truncated is not None
    assert diagnosis.truncated.lost is LostPart.HEAD


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", b"hello\n", b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 40, b"#!/bin/sh\nexit 1\n" * 100],
    ids=["empty", "blank", "word", "binary", "script"],
)
def test_what_is_no_log_is_refused(data: bytes) -> None:
    with pytest.raises(Error):
        explain_bytes(data)


@pytest.mark.parametrize("size", range(0, len(LIBBPF), 61))
def test_a_log_cut_anywhere_has_a_reason(size: int) -> None:
    """At both ends, in the middle of a line, of a character."""
    data = LIBBPF.replace("count", "größe").encode()
    for part in (data[:size], data[size:]):
        assert explain_bytes(part, "EACCES").reason


def test_a_long_line_is_passed_over() -> None:
    lines = ["7: (95) exit " + "x" * (3 << 20), "R0 !read_ok", TRAILER]
    assert explain_lines(*lines).rule == "unreadable-register"
    assert not explain_lines("7: (95) exit", "R1 " + "y" * (5 << 20), TRAILER).recognised


def test_a_file_and_a_pipe_say_the_same(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(LIBBPF, encoding="utf-8")
    reader, writer = os.pipe()

    def feed() -> None:
        with os.fdopen(writer, "wb") as file:
            file.write(b"func#0 @0\n" * 2_000_000)
            file.write(LIBBPF.encode())

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        piped = explain_fd(reader)
    finally:
        thread.join()
        os.close(reader)
    with path.open("rb") as file:
        check_null(explain_fd(file.fileno()))
    check_null(piped)


def test_a_remark_is_not_the_cause_where_something_else_was_said() -> None:
    """The kernel makes it while it checks a function as a global one, and goes on."""
    remark = "arg#0 reference type('UNKNOWN ') size cannot be determined: -22"
    diagnosis = explain_lines(
        "0: R1=ctx() R10=fp0", "0: (85) call pc+1", remark, "something of a later kernel", TRAILER
    )
    assert (diagnosis.recognised, diagnosis.message) == (False, "something of a later kernel")
    assert explain_lines("0: R1=ctx() R10=fp0", "0: (85) call pc+1", remark, TRAILER).rule == "global-argument-size"


def test_words_around_a_message_are_not_the_kernels() -> None:
    message = "invalid access to packet, off=34 size=1, R6(id=3,off=34,r=0)"
    last = "R6 offset is outside of the packet"
    diagnosis = explain_lines("Was bedeutet das? Größe:", "...", message, last, TRAILER)
    assert (diagnosis.details, diagnosis.message) == ((message,), last)


def test_a_message_in_bold_is_explained() -> None:
    diagnosis = explain_lines(
        "81: (55) if r5 != 0x0 goto pc+95",
        "82: (61) r3 = *(u32 *)(r2 +20)",
        "**invalid access to packet, off=42 size=4, R2(id=0,off=22,r=42)**",
        "R2 offset is outside of the packet",
        TRAILER,
    )
    assert "needs 46 bytes" in diagnosis.reason


def test_registers_behind_the_last_instruction_of_an_old_kernel_are_read() -> None:
    diagnosis = explain_lines(
        "970: (73) *(u8 *)(r2 +0) = r1",
        " R1_w=inv1 R2_w=map_value(id=0,off=0,ks=4,vs=32768,umax_value=4294967295,var_off=(0x0; 0xffffffff)) R10=fp0",
        "R2 unbounded memory access, make sure to bounds check any such access",
        TRAILER,
    )
    assert "What was added to R2 is not negative but may be as large as 4294967295" in diagnosis.reason
    assert "the object has 32768 bytes" in (diagnosis.suggestion or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'level=error msg="LoadBpf x.o: program p: load program: bad CO-RE relocation: invalid func '
            'unknown#195896080 (19 line(s) omitted)" file="x.go:88" func="x.(*Y).Start"',
            "invalid func unknown#195896080",
        ),
        (
            'level=ERROR error="program p: load program: argument list too long: 159: (15) if r9 == 0x0 goto pc+12 '
            'BPF program is too large. Processed 1000001 insn (613 line(s) omitted)"',
            "BPF program is too large. Processed 1000001 insn",
        ),
        ("libbpf: failed to find BTF for extern 'ntohl': -2", "failed to find BTF for extern 'ntohl': -2"),
        ("libbpf: failed to perform CO-RE relocations: -22", "failed to perform CO-RE relocations: -22"),
        (
            "    errors_test.go:55: invalid argument: JIT doesn't support bpf-to-bpf calls (1 line(s) omitted)",
            "JIT doesn't support bpf-to-bpf calls",
        ),
        (
            "权限不够 3: (71) r2 = *(u8 *)(r7 +8): R7 invalid mem access 'inv' (5 line(s) omitted。",
            "R7 invalid mem access 'inv'",
        ),
        ("filler/x message=fd 0 is not pointing to valid bpf_map", "fd 0 is not pointing to valid bpf_map"),
        (
            "insn 3 cannot call exception cb directlyverification time 91 usec",
            "insn 3 cannot call exception cb directly",
        ),
    ],
)
def test_one_line_of_a_loader_is_enough(text: str, message: str) -> None:
    diagnosis = explain_lines(text)
    assert (diagnosis.recognised, diagnosis.message) == (True, message)


def test_what_is_left_out_before_the_message_leaves_no_place() -> None:
    """The last instruction that is there is not the one that was rejected."""
    diagnosis = explain_lines(
        "0: (79) r1 = *(u64 *)(r1 +112)",
        "1: (7b) *(u64 *)(r10 -8) = r1",
        "[..]",
        "R1 invalid mem access 'inv'",
        TRAILER,
    )
    assert diagnosis.rule == "scalar-dereference"
    assert diagnosis.place.insn is None
    assert diagnosis.path == ()
    assert any("left out" in note for note in diagnosis.notes)


def test_registers_that_are_printed_while_the_verifier_backtracks_are_earlier_ones() -> None:
    diagnosis = explain_lines(
        "40: (0f) r0 += r3",
        " R0=pkt(id=3,off=0,r=0,umax_value=4294967295) R3=inv1 R10=fp0",
        "regs=1 stack=0 before 30: (61) r0 = *(u32 *)(r10 -4)",
        "value -2147483648 makes pkt pointer be out of bounds",
        TRAILER,
    )
    assert "can be as low as -2147483648" in diagnosis.reason


def test_logs_before_the_last_megabyte_are_said_not_to_be_looked_at() -> None:
    one = f"0: (95) exit\nR0 !read_ok\n{TRAILER}\n"
    two = f"0: (bf) r6 = r3\nR3 !read_ok\n{TRAILER}\n"
    assert not any("megabyte" in note for note in explain_bytes(f"{one}{two}".encode()).notes)
    far = explain_bytes(f"{'7: (b7) r1 = 0' + chr(10)}".encode() * 80_000 + f"{one}{one}{two}".encode())
    assert any("last megabyte" in note for note in far.notes)
    assert len(far.others) == 1
