# SPDX-License-Identifier: GPL-2.0-or-later
"""verifier-log load: every answer of the corpus's kernels as if it were this kernel's, and what users do wrong."""

from __future__ import annotations

import errno as errnos
import json
import os
from pathlib import Path

import pytest

from kprobe_tool.cli import run
from kprobe_tool.errors import ExitCode
from kprobe_tool.native import bpf, host, libbpf
from kprobe_tool.native.libbpf import Loaded, ObjectProgram
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes

from ...corpus.test_corpus import RELEASES, index, log
from ...documents import SCHEMAS, check, check_command

Capsys = pytest.CaptureFixture[str]
Monkeypatch = pytest.MonkeyPatch

EXIT = "b7 00 00 00 00 00 00 00 95 00 00 00 00 00 00 00"


@pytest.fixture
def instructions(tmp_path: Path) -> str:
    path = tmp_path / "insns"
    path.write_text(EXIT)
    return str(path)


@pytest.fixture
def object_file(tmp_path: Path) -> str:
    """What only looks like an object for BPF: libbpf is played by the tests."""
    path = tmp_path / "x.bpf.o"
    path.write_bytes(b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + (247).to_bytes(2, "little"))
    return str(path)


def number(name: str) -> int:
    return next((number for number, known in errnos.errorcode.items() if known == name), 524)


def answer_of(release: str, name: str) -> bpf.LoadAnswer:
    record = index(release)[name]
    errno = number(record["errno"]) if record["errno"] else 0
    return bpf.LoadAnswer(errno, log(release, name), True, record["log_true_size"])


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.slow
def test_every_answer_is_told_as_explain_tells_its_log(
    release: str, instructions: str, monkeypatch: Monkeypatch, capsys: Capsys
) -> None:
    """Each is a valid document, that says of the log what explain does."""
    argv = ["verifier-log", "load", instructions, "--raw", "--type", "xdp"]
    for name, record in index(release).items():
        if "absent" in record or (record["errno"] == "EPERM" and not log(release, name)):
            continue
        answer = answer_of(release, name)
        monkeypatch.setattr(bpf, "load", lambda program, level, answer=answer: answer)
        code = run([*argv, "-o", "json"])
        document = json.loads(capsys.readouterr().out)
        check(SCHEMAS["verifier-log-load"], document)
        (row,) = document["results"]
        assert code == (ExitCode.FOUND if answer.errno else ExitCode.OK), name
        assert row["outcome"] == ("rejected" if answer.errno else "accepted")
        assert row["errno"] == record["errno"]
        if answer.errno:
            explained = explain_bytes(answer.log, record["errno"])
            assert [each["message"] for each in row["diagnoses"]] == [
                each.message for each in (explained, *explained.others)
            ]
        else:
            assert row["diagnoses"] == []


def test_two_diagnoses_are_in_one_result(instructions: str, monkeypatch: Monkeypatch, capsys: Capsys) -> None:
    answer = answer_of("7.3-rc7", "leak-two")
    monkeypatch.setattr(bpf, "load", lambda program, level: answer)
    command = ["verifier-log", "load", instructions, "--raw", "--type", "xdp"]
    document = check_command(capsys, "verifier-log-load", *command)
    assert len(document["results"][0]["diagnoses"]) == 2


def test_people_read_the_diagnosis(instructions: str, monkeypatch: Monkeypatch, capsys: Capsys) -> None:
    answer = answer_of("6.12.43", "index-off-by-one")
    monkeypatch.setattr(bpf, "load", lambda program, level: answer)
    assert run(["verifier-log", "load", instructions, "--raw", "--type", "xdp"]) == ExitCode.FOUND
    out = capsys.readouterr().out
    assert "rejected (EACCES), 2 instructions" in out
    assert "error[Memory Safety]: Access outside bounds" in out
    assert "return table[index];" in out
    assert out.endswith("\n")
    assert not out.endswith("\n\n")


def test_people_read_the_figures(instructions: str, monkeypatch: Monkeypatch, capsys: Capsys) -> None:
    answer = answer_of("7.3-rc7", "accepted-with-functions.stats")
    monkeypatch.setattr(bpf, "load", lambda program, level: answer)
    assert run(["verifier-log", "load", instructions, "--raw", "--type", "xdp"]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "accepted: 338 instructions verified" in out
    assert "stack of 48 bytes" in out


def test_options_become_what_the_kernel_is_asked(instructions: str, monkeypatch: Monkeypatch, tmp_path: Path) -> None:
    asked = []

    def load(program: bpf.Program, level: int) -> bpf.LoadAnswer:
        asked.append((program, level))
        return bpf.LoadAnswer(0, b"processed 2 insns", True, None)

    monkeypatch.setattr(bpf, "load", load)
    saved = tmp_path / "log"
    argv = ["verifier-log", "load", instructions, "--raw", "--type", "tc", "--license", "MIT", "--log", str(saved)]
    for level, wanted in (("0", 0), ("1", 5), ("2", 6)):
        assert run([*argv, "--level", level]) == ExitCode.OK
        program, given = asked.pop()
        assert given == wanted
        assert program == bpf.Program(bytes.fromhex(EXIT), bpf.PROG_TYPES.index("sched_cls"), license=b"MIT")
    assert saved.read_bytes() == b"processed 2 insns"


def test_several_programs_give_rows_and_errors(object_file: str, monkeypatch: Monkeypatch, capsys: Capsys) -> None:
    """One accepted, one rejected, one whose map cannot be made, one of no type: rows and errors, and exit code 2."""
    programs = tuple(
        ObjectProgram(name, section, kind, 2)
        for name, section, kind in (
            ("good", "xdp", 6),
            ("bad", "xdp", 6),
            ("mapless", "xdp", 6),
            ("odd", "strange", 0),
        )
    )
    answers = {
        "good": Loaded(bpf.LoadAnswer(0, b"processed 2 insns", True, None), 0, ("libbpf: elf: skipping section",)),
        "bad": Loaded(
            answer_of("6.18.44", "leak-ringbuf"),
            22,
            ("libbpf: prog 'bad': BPF program load failed: Invalid argument",),
        ),
        "mapless": Loaded(
            None,
            22,
            ("libbpf: map 'm': failed to create: Invalid argument(-22)", "libbpf: failed to load object 'x.bpf.o'"),
        ),
    }
    monkeypatch.setattr(libbpf, "programs", lambda path: programs)
    monkeypatch.setattr(libbpf, "load", lambda path, name, level, prog_type: answers[name])
    assert run(["verifier-log", "load", object_file, "-o", "json"]) == ExitCode.CANNOT_RUN
    out, err = capsys.readouterr()
    document = json.loads(out)
    check(SCHEMAS["verifier-log-load"], document)
    assert [(row["program"], row["outcome"]) for row in document["results"]] == [
        ("good", "accepted"),
        ("bad", "rejected"),
    ]
    assert [row["messages"] for row in document["results"]] == [["elf: skipping section"], []]
    assert "mapless: map 'm': failed to create: Invalid argument(-22) (EINVAL)" in err
    assert "odd: the section 'strange' does not tell the type of program; give it with --type" in err
    assert run(["verifier-log", "load", object_file, "--prog", "bad"]) == ExitCode.FOUND
    assert run(["verifier-log", "load", object_file, "--prog", "good"]) == ExitCode.OK
    assert run(["verifier-log", "load", object_file, "--prog", "god"]) == ExitCode.CANNOT_RUN
    assert "has no program 'god'; did you mean 'good'?" in capsys.readouterr().err


def test_an_object_without_programs_is_one_line(object_file: str, monkeypatch: Monkeypatch, capsys: Capsys) -> None:
    monkeypatch.setattr(libbpf, "programs", lambda path: ())
    assert run(["verifier-log", "load", object_file]) == ExitCode.CANNOT_RUN
    assert "holds no BPF program" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("capabilities", "lockdown", "disabled", "words"),
    [
        (
            frozenset(),
            None,
            "2",
            "needs CAP_BPF, and CAP_PERFMON or CAP_NET_ADMIN by its type: run as root "
            "(kernel.unprivileged_bpf_disabled is 2)",
        ),
        (frozenset(), None, "0", "run as root"),
        (frozenset({"CAP_BPF"}), "confidentiality", "2", "locked down (confidentiality)"),
        (frozenset({"CAP_BPF"}), None, "2", "and there is no CAP_SYS_ADMIN: run as root"),
        (
            frozenset({"CAP_SYS_ADMIN"}),
            None,
            "2",
            "no capability is missing: this kernel, a seccomp filter or an LSM refuses",
        ),
    ],
)
def test_missing_privilege_says_which(
    capabilities: frozenset[str],
    lockdown: str | None,
    disabled: str,
    words: str,
    instructions: str,
    monkeypatch: Monkeypatch,
    capsys: Capsys,
) -> None:
    monkeypatch.setattr(host, "effective_capabilities", lambda: capabilities)
    monkeypatch.setattr(host, "lockdown", lambda: lockdown)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(host, "in_initial_user_namespace", lambda: True)
    monkeypatch.setattr(host, "read_line", lambda path: disabled)
    monkeypatch.setattr(bpf, "load", lambda program, level: bpf.LoadAnswer(errnos.EPERM, b"", True, None))
    assert run(["verifier-log", "load", instructions, "--raw", "--type", "kprobe"]) == ExitCode.CANNOT_TELL
    err = capsys.readouterr().err
    assert "EPERM" in err
    assert words in err


def test_eperm_of_the_verifier_is_a_rejection(instructions: str, monkeypatch: Monkeypatch) -> None:
    """EPERM with a log is the verifier's: the program is rejected."""
    monkeypatch.setattr(bpf, "load", lambda program, level: answer_of("7.3-rc7", "calls-unprivileged"))
    assert run(["verifier-log", "load", instructions, "--raw", "--type", "xdp"]) == ExitCode.FOUND


@pytest.mark.parametrize(
    ("content", "argv", "words"),
    [
        (b"", [], "is empty"),
        (b"hello world, no program", [], "is no ELF object and no C file"),
        (b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + b"\x3e\0", [], "is for machine 62, and BPF is 247"),
        (b"\x7fELF\x02\x02\x01".ljust(18, b"\0") + b"\0\x16", [], "is for machine 22, and BPF is 247"),
        (b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + b"\xf7\0", [], ""),
        (EXIT.encode(), ["--raw"], "give it with --type"),
        (EXIT.encode(), ["--raw", "--type", "xpd"], "did you mean 'xdp'?"),
        (EXIT.encode(), ["--raw", "--type", "zzz"], "there are socket_filter"),
        (b"b7 00", ["--raw", "--type", "xdp"], "4 hexadecimal digits; an instruction has 16"),
        (b"\xb7" * 9, ["--raw", "--type", "xdp"], "9 bytes; an instruction has 8"),
    ],
)
def test_bad_input_is_one_line(content: bytes, argv: list[str], words: str, tmp_path: Path, capsys: Capsys) -> None:
    path = tmp_path / "input"
    path.write_bytes(content)
    assert run(["verifier-log", "load", str(path), *argv]) == ExitCode.CANNOT_RUN
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert len(err.splitlines()) == 1 or "Usage" in err


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: Capsys) -> None:
    for path in (tmp_path / "none", tmp_path):
        assert run(["verifier-log", "load", str(path)]) == ExitCode.CANNOT_RUN
    err = capsys.readouterr().err
    assert "ENOENT" in err
    assert "EISDIR" in err


def test_a_log_that_cannot_be_written_is_an_error(
    instructions: str, monkeypatch: Monkeypatch, capsys: Capsys
) -> None:
    monkeypatch.setattr(bpf, "load", lambda program, level: bpf.LoadAnswer(0, b"x", True, None))
    argv = ["verifier-log", "load", instructions, "--raw", "--type", "xdp", "--log", "/nonexistent/log"]
    assert run(argv) == ExitCode.CANNOT_RUN
    assert "/nonexistent/log: No such file or directory (ENOENT)" in capsys.readouterr().err
