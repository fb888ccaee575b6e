# SPDX-License-Identifier: GPL-2.0-or-later
"""A log says the same, whatever it was copied from: loggers, mails, web pages, other programs' strings."""

from __future__ import annotations

import json
import quopri
import time
from collections.abc import Callable
from dataclasses import replace
from html import escape

import pytest

from kprobe_tool.probes.verifier.diagnosis import Diagnosis
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
from tests.unit.corpus.test_corpus import log

LOGS = [
    ("5.10.262", "lookup-not-checked"),
    ("6.1.192", "packet-checked-too-short"),
    ("6.12.43", "leak-on-one-branch"),
    ("6.18.44", "index-off-by-one.level2"),
    ("7.2.12", "null-not-checked.level2"),
    ("7.3-rc7", "lock-left-on-one-path"),
]


def lines(wrap: Callable[[int, str], str]) -> Callable[[str], bytes]:
    """A wrapping of each line, which gets its number and its text."""
    return lambda text: "".join(f"{wrap(n, line)}\n" for n, line in enumerate(text.splitlines())).encode()


def stamp(number: int) -> str:
    return f"2026-11-21T14:{50 + number // 60 % 10:02}:{number % 60:02}"


WRAPPINGS: dict[str, Callable[[str], bytes]] = {
    "indent": lines(lambda n, line: f"    {line}"),
    "tab": lines(lambda n, line: f"\t{line}"),
    "quoted mail": lines(lambda n, line: f"> {line}".rstrip()),
    "quoted twice": lines(lambda n, line: f">> > {line}"),
    "bar": lines(lambda n, line: f"  | {line}"),
    "dmesg": lines(lambda n, line: f"[{12345 + n:>8}.{n * 1000 % 1000000:06}] {line}"),
    "dmesg -T": lines(lambda n, line: f"[Sat Nov 21 14:{n // 60 % 60:02}:{n % 60:02} 2026] {line}"),
    "journal": lines(lambda n, line: f"Nov 21 14:53:{n % 60:02} node-7 agent[4711]: {line}"),
    "journal, German": lines(lambda n, line: f"Mär 01 14:53:{n % 60:02} knoten agent[4711]: {line}"),
    "journal, Japanese": lines(lambda n, line: f"11月 21 14:53:{n % 60:02} node agent[4711]: {line}"),
    "syslog, ISO": lines(lambda n, line: f"{stamp(n)}.{n:06}+01:00 node agent[4711]: {line}"),
    "kubectl --timestamps": lines(lambda n, line: f"{stamp(n)}.{n:09}Z {line}"),
    "kubectl --prefix": lines(lambda n, line: f"[pod/agent-x7k2p/agent] {line}"),
    "containerd": lines(lambda n, line: f"{stamp(n)}.{n:09}+00:00 stderr F {line}"),
    "compose": lines(lambda n, line: f"agent-1   | {line}"),
    "Actions": lines(lambda n, line: f"test\tUNKNOWN STEP\t{stamp(n)}.{n:07}Z {line}"),
    "logcat": lines(lambda n, line: f"11-21 14:53:{n % 60:02}.{n % 1000:03}  1234  1240 I bpfloader: {line}"),
    "logrus": lines(lambda n, line: f'time="{stamp(n)}Z" level=error msg="' + line.replace('"', '\\"') + '"'),
    "zap": lines(lambda n, line: f"{stamp(n)}.123Z\tERROR\tloader/load.go:{71}\t{line}"),
    "docker": lines(lambda n, line: json.dumps({"log": f"{line}\n", "stream": "stderr", "time": f"{stamp(n)}Z"})),
    "line numbers": lines(lambda n, line: f"{n + 1:>6}\t{line}"),
    "grep -n": lines(lambda n, line: f"{n + 1}:{line}"),
    "diff": lines(lambda n, line: f"+{line}"),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "colours": lines(lambda n, line: f"\x1b[31m{line}\x1b[0m"),
    "JSON": lambda text: json.dumps({"level": "error", "msg": f"load: permission denied:\n{text}"}).encode(),
    "JSON in JSON": lambda text: json.dumps({"log": json.dumps({"err": f"load:\n{text}"}) + "\n"}).encode(),
    "Rust Debug": lambda text: (
        'Error: LoadError { io_error: Os { code: 13 }, verifier_log: "'
        + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        + '" }\n'
    ).encode(),
    "repr": lambda text: f"Exception: {text!r}\n".encode(),
    "HTML": lambda text: f"<pre>\n{escape(text)}</pre>\n".encode(),
    "quoted-printable": lambda text: quopri.encodestring(text.encode()),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-be"),
    "UTF-8 with a mark": lambda text: text.encode("utf-8-sig"),
    "among much else": lambda text: (
        "".join(f"{n} tests passed\n" for n in range(3000))
        + text
        + "".join(f"make: *** [Makefile:{n}: all] Error 2\n" for n in range(100))
    ).encode(),
    "Python exception": lambda text: (
        f"bpf: Failed to load program: Permission denied\n{text}\nTraceback (most recent call last):\n"
        "  File \"x.py\", line 3, in <module>\nException: Failed to load BPF program b'f': Permission denied\n"
    ).encode(),
}


def read_log(release: str, name: str) -> str:
    return log(release, name).decode()


def strip_surroundings(diagnosis: Diagnosis) -> Diagnosis:
    """Without what the surroundings tell besides."""
    return replace(diagnosis, errno=None, program=None, truncated=None)


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize(("release", "name"), LOGS)
def test_any_wrapping_is_taken_off(release: str, name: str, wrapping: str) -> None:
    text = read_log(release, name)
    wrapped = WRAPPINGS[wrapping](text)
    assert wrapped != text.encode()
    expected = strip_surroundings(explain_bytes(text.encode()))
    assert expected.recognised
    assert strip_surroundings(explain_bytes(wrapped)) == expected


@pytest.mark.parametrize(("release", "name"), LOGS)
def test_the_last_of_two_logs_is_explained(release: str, name: str) -> None:
    """The last one is told, and the one before it besides; the same one again is the same."""
    text = read_log(release, name)
    first, second = explain_bytes(read_log("6.12.43", "helper-null-key").encode()), explain_bytes(text.encode())
    found = explain_bytes((read_log("6.12.43", "helper-null-key") + "libbpf: trying the next\n" + text).encode())
    assert found.message == second.message
    assert found.path == second.path
    assert first.message in [other.message for other in found.others]
    again = explain_bytes((text + text).encode())
    assert strip_surroundings(again) == strip_surroundings(second)


@pytest.mark.parametrize(
    ("line", "message", "insn", "errno"),
    [
        (
            "loading: field Sample: program sample: load program: permission denied: 9: (79) r3 = *(u64 *)(r1 +96): "
            "R1 invalid mem access 'scalar' (16 line(s) omitted)",
            "R1 invalid mem access 'scalar'",
            9,
            "EACCES",
        ),
        (
            "program sample: load program: permission denied: invalid access to map value, value_size=16 off=0 "
            "size=20: R1 min value is outside of the allowed memory range (truncated, 73 line(s) omitted)",
            "R1 min value is outside of the allowed memory range",
            None,
            "EACCES",
        ),
        (
            "Error: the load failed. Verifier output: last insn is not an exit or jmp",
            "last insn is not an exit or jmp",
            None,
            None,
        ),
        ('msg="load program: invalid argument: unknown opcode 8d"', "unknown opcode 8d", None, "EINVAL"),
    ],
)
def test_one_line_is_enough(line: str, message: str, insn: int | None, errno: str | None) -> None:
    diagnosis = explain_bytes(f"{line}\n".encode())
    assert (diagnosis.message, diagnosis.place.insn, diagnosis.errno) == (message, insn, errno)
    assert diagnosis.recognised
    assert diagnosis.truncated is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "field Sample: program sample: load program: permission denied: invalid access to map value, "
            "value_size=70 off=0 size=16383: R1 min value is outside of the allowed memory range (truncated, "
            "73 line(s) omitted)",
            ("ends at 16383, and the object has 70", "if (size > 70)"),
        ),
        (
            "load: permission denied: R1_w=ctx(id=0,off=0,imm=0) R4_w=map_value(id=0,off=0,ks=4,vs=512,imm=0) "
            "R5_w=inv(id=0,umax_value=4294967295,var_off=(0x0; 0xffffffff)) R10=fp0: R5 unbounded memory access, use "
            "'var &= const' or 'if (var < const)' (44 line(s) omitted)",
            ("as large as 4294967295", "if (x > 512)"),
        ),
        (
            "load: permission denied: R2_w=inv(id=0,smin_value=-4095,smax_value=0) R10=fp0: R2 min value is "
            "negative, either use unsigned or 'var &= const' (9 line(s) omitted)",
            ("0 at the most", "as low as -4095", "if (x < 0)"),
        ),
    ],
)
def test_figures_of_one_line_are_used(line: str, words: tuple[str, ...]) -> None:
    diagnosis = explain_bytes(f"{line}\n".encode())
    for word in words:
        assert word in f"{diagnosis.reason} {diagnosis.suggestion}"
    assert diagnosis.place.insn is None


def test_state_after_a_joined_instruction_belongs_to_it() -> None:
    line = (
        "load program: permission denied: 9: (79) r3 = *(u64 *)(r1 +96): R1_w=inv(id=0,umax_value=255) R10=fp0: "
        "R1 invalid mem access 'inv' (16 line(s) omitted)"
    )
    diagnosis = explain_bytes(f"{line}\n".encode())
    assert diagnosis.place.insn == 9
    assert diagnosis.place.instruction == "(79) r3 = *(u64 *)(r1 +96)"


@pytest.mark.parametrize(
    ("around", "kept"),
    [
        (("```", "```"), "R0 !read_ok"),
        (
            (
                " R0=inv(id=0) R1=inv(id=0,umax_value=255,var_off=(0x0; 0xff)) R4=",
                "inv(id=0) R5_w=inv2 fp-8_w=mmmmmmm",
            ),
            "R0 !read_ok",
        ),
    ],
)
def test_what_is_no_message_is_not_shown_as_one(around: tuple[str, str], kept: str) -> None:
    """Fences of Markdown, and lines of registers that a terminal has broken."""
    text = "\n".join(["0: (95) exit", *around, kept, "processed 1 insns (limit 1000000)", "```"])
    diagnosis = explain_bytes(f"{text}\n".encode())
    assert diagnosis.message == kept
    assert diagnosis.details == ()


def test_errno_of_a_rejected_section() -> None:
    text = (
        "Prog section 'from-sock4' rejected: Invalid argument (22)!\n"
        "Tail call map owned by prog type 3, but prog type is 6!\n"
    )
    diagnosis = explain_bytes(text.encode())
    assert (diagnosis.errno, diagnosis.rule) == ("EINVAL", "tail-call-other-type")
    assert "type 3" in diagnosis.reason


def test_range_is_lost_on_the_stack() -> None:
    state = "R0=inv1 R8=map_value(id=0,off=0,ks=4,vs=512,imm=0) R10=fp0 fp-32=mmmmmmmm"
    lines = [
        f"from 6 to 8: {state}",
        "8: (bf) r1 = r8",
        "9: (79) r2 = *(u64 *)(r10 -32)",
        "10: (0f) r1 += r2",
        "math between map_value pointer and register with unbounded min value is not allowed",
        "processed 9 insns (limit 1000000)",
    ]
    diagnosis = explain_bytes("".join(f"{line}\n" for line in lines).encode())
    assert "read back from the stack (fp-32)" in diagnosis.reason
    tracked = explain_bytes("".join(f"{line}\n" for line in lines).replace("fp-32=mmmmmmmm", "fp-32=inv").encode())
    assert "read back" not in tracked.reason


def test_no_prefix_makes_matching_slow() -> None:
    """A prefix is made a regular expression: nothing in it may be matched in more than one way."""
    for piece in ("a_", "1_", "a.", "a ", "_", " a", "a-1", "\t-"):
        prefix = piece * (190 // len(piece)) + ": "
        lines = [f"{prefix}{number}: (b7) r1 = 0" for number in range(20)]
        lines += [piece * 2000, "a" * 4000, "_" * 4000, "a_" * 2000 + "!"]
        begin = time.process_time()
        explain_bytes("\n".join([*lines, *lines[20:] * 50, "R1 !read_ok"]).encode())
        assert time.process_time() - begin < 5
