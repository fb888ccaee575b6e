# SPDX-License-Identifier: GPL-2.0-or-later
"""verifier-log matrix: what is made of the answers of six kernels, and what users do wrong. What boots is in
tests/kernels/matrix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kprobe_tool.cli import run
from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.lab import boot
from kprobe_tool.probes.verifier.matrix import ask
from kprobe_tool.probes.verifier.matrix.ask import KernelAnswers, Loader, MatrixRequest, Say
from tests.corpus.objects import object_file

from ... import formats
from ...documents import OBJECT, SCHEMAS, check, check_lines
from ...recorded_matrix import answer
from ...test_man import page_of, read

Capsys = pytest.CaptureFixture[str]
Monkeypatch = pytest.MonkeyPatch
KERNELS = ("5.10.262", "6.1.192", "7.2.12")
PrepareObject = Callable[..., str]


@pytest.fixture
def prepare_object(monkeypatch: Monkeypatch) -> PrepareObject:
    """Prepare an object about which recorded kernels answer the command. The fixture's function returns its path."""

    def prepare(source: str = "accepted", *more: KernelAnswers) -> str:
        path = str(object_file(source))

        def answer_as_recorded(question: MatrixRequest, loader: Loader, say: Say) -> list[KernelAnswers]:
            assert [guest.name for guest in question.kernels] == list(KERNELS)
            say("asked")
            return [*(answer(release, source, path) for release in KERNELS), *more]

        monkeypatch.setattr(ask, "ask", answer_as_recorded)
        return path

    return prepare


def run_matrix(path: str, *more: str) -> int:
    return run(["verifier-log", "matrix", path, "--kernels", ",".join(KERNELS), *more])


def test_json_has_a_row_for_each_program_and_kernel(prepare_object: PrepareObject, capsys: Capsys) -> None:
    assert run_matrix(prepare_object(), "-o", "json") == ExitCode.OK
    out = capsys.readouterr().out
    document = json.loads(out)
    check(SCHEMAS["verifier-log-matrix"], document)
    rows = {(row["program"], row["release"]): row for row in document["results"]}
    old = rows["accepted_with_functions", "5.10.262"]
    assert (old["outcome"], old["cause_class"], old["floor"]) == ("rejected", "environment", "5.17")
    assert rows["accepted_with_functions", "7.2.12"]["outcome"] == "accepted"
    change = {"program": "accepted_with_functions", "before": "5.10.262", "now": "6.1.192", "outcome": "accepted"}
    assert change in document["changes"]
    assert [kernel["release"] for kernel in document["kernels"]] == list(KERNELS)


@pytest.mark.parametrize("source", ["memory", "objects"])
def test_every_format_fits_its_schema(source: str, prepare_object: PrepareObject, capsys: Capsys) -> None:
    path = prepare_object(source)
    assert run_matrix(path, "-o", "jsonl") == ExitCode.OK
    check_lines(SCHEMAS["verifier-log-matrix"], capsys.readouterr().out.splitlines())
    assert run_matrix(path, "-o", "github") == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines
    for line in lines:
        level, properties, _ = formats.github(line)
        assert level == "error" and properties["title"].startswith("BPF on Linux ")
    assert run_matrix(path, "-o", "sarif") == ExitCode.OK
    assert len(formats.sarif(capsys.readouterr().out)) == len(lines)
    assert run_matrix(path, "-o", "json") == ExitCode.OK
    check(SCHEMAS["verifier-log-matrix"], json.loads(capsys.readouterr().out))


def test_people_are_told_what_kernels_judge_differently(prepare_object: PrepareObject, capsys: Capsys) -> None:
    assert run_matrix(prepare_object()) == ExitCode.OK
    out = capsys.readouterr().out
    assert "accepted_with_functions: rejected by 5.10.262, accepted by 6.1.192\n" in out
    assert "bpf_loop: came with Linux 5.17" in " ".join(out.split())
    header, *rows = out.splitlines()
    assert header.split() == ["PROGRAM", *KERNELS]
    (row,) = [row for row in rows if row.startswith("accepted_with_functions ")][:1]
    assert "rejected: environment" in row and "accepted (" in row


def test_the_manual_shows_what_these_kernels_say(prepare_object: PrepareObject, capsys: Capsys) -> None:
    """What the page shows is what these kernels said; of the reason it has the end."""
    run_matrix(prepare_object())
    shown = " ".join(capsys.readouterr().out.split())
    lines = read(page_of("verifier-log"))["EXAMPLES"].examples
    begin = next(number for number, line in enumerate(lines) if line.startswith("PROGRAM"))
    end = next(number for number, line in enumerate(lines) if "loads accepted" in line) + 1
    for line in lines[begin:end]:
        assert " ".join(line.removeprefix("... ").split()) in shown, line


def test_releases_that_must_accept_are_required(prepare_object: PrepareObject, capsys: Capsys) -> None:
    path = prepare_object()
    assert run_matrix(path, "--require", "6.1.192") == ExitCode.OK
    assert run_matrix(path, "--require", "6.1.192, 5.10.262") == ExitCode.FOUND
    capsys.readouterr()
    assert run_matrix(path, "--require", "6.2") == ExitCode.CANNOT_RUN
    assert "--require 6.2: the kernels are 5.10.262, 6.1.192, 7.2.12" in capsys.readouterr().err


def test_changes_since_a_baseline_are_told(prepare_object: PrepareObject, tmp_path: Path, capsys: Capsys) -> None:
    path = prepare_object()
    run_matrix(path, "-o", "json")
    before = json.loads(capsys.readouterr().out)
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps(before))
    assert run_matrix(path, "--baseline", str(earlier)) == ExitCode.OK
    assert "nothing has changed" in capsys.readouterr().out
    for row in before["results"]:
        if (row["program"], row["release"]) == ("accepted_with_functions", "5.10.262"):
            row["outcome"] = "accepted"
        elif row["release"] == "7.2.12" and row["insns_processed"]:
            row["insns_processed"] //= 2
    earlier.write_text(json.dumps(before))
    assert run_matrix(path, "--baseline", str(earlier), "-o", "json") == ExitCode.FOUND
    document = json.loads(capsys.readouterr().out)
    check(SCHEMAS["verifier-log-matrix"], document)
    kinds = {(each["program"], each["change"]) for each in document["baseline"]["differences"]}
    assert ("accepted_with_functions", "newly-rejected") in kinds
    assert ("accepted_with_functions", "more-instructions") in kinds
    assert run_matrix(path, "--baseline", str(OBJECT)) == ExitCode.CANNOT_RUN
    assert "not the output of 'kprobe-tool verifier-log matrix -o json'" in capsys.readouterr().err


def test_a_load_that_was_not_allowed_is_no_answer(prepare_object: PrepareObject, capsys: Capsys) -> None:
    """It is none of the kernel about the program: another user, or a host without the filter, may get one."""
    refused = KernelAnswers("here")
    refused.take(json.dumps({"host": {"release": "6.18.44"}}))
    for errno in ("EPERM", "ENOSYS"):
        error = {"subject": "x.o: loaded", "reason": "bpf(2) is refused", "errno": errno, "hint": None}
        refused.take(json.dumps({"error": {**error, "program": "loaded"}}))
    refused.take(json.dumps({"done": True}))
    refused.finish()
    assert run_matrix(prepare_object("accepted", refused), "-o", "json") == ExitCode.CANNOT_TELL
    out, err = capsys.readouterr()
    assert "6.18.44" not in {row["release"] for row in json.loads(out)["results"]}
    assert "kernel here: x.o: loaded: bpf(2) is refused (EPERM)" in err
    assert "(ENOSYS)" in err


def test_a_kernel_without_an_answer_costs_its_own_rows(prepare_object: PrepareObject, capsys: Capsys) -> None:
    """The others are told all the same."""
    path = prepare_object("accepted", KernelAnswers("newest", failure="it did not boot: no memory"))
    assert run_matrix(path, "-o", "json") == ExitCode.CANNOT_TELL
    out, err = capsys.readouterr()
    document = json.loads(out)
    check(SCHEMAS["verifier-log-matrix"], document)
    assert len({row["release"] for row in document["results"]}) == len(KERNELS)
    assert err == "kprobe-tool: verifier-log matrix: kernel newest: it did not boot: no memory\n"
    assert run_matrix(path, "--require", "5.10.262") == ExitCode.FOUND


def test_a_machine_without_qemu_is_one_line(monkeypatch: Monkeypatch, capsys: Capsys) -> None:
    monkeypatch.setattr(boot, "missing", lambda: ["QEMU (package qemu-system-x86)"])
    assert run(["verifier-log", "matrix", str(OBJECT)]) == ExitCode.CANNOT_RUN
    assert capsys.readouterr().err == (
        "kprobe-tool: verifier-log matrix: cannot boot kernels: this machine lacks QEMU (package qemu-system-x86)\n"
    )


@pytest.mark.parametrize("path", ["/nonexistent", "/dev/null", "/etc/passwd", "/proc/self/exe"])
def test_what_is_no_object_is_found_before_anything_boots(
    path: str, monkeypatch: Monkeypatch, capsys: Capsys
) -> None:
    """Found before anything boots."""

    def refuse(question: MatrixRequest, loader: Loader, say: Say) -> list[KernelAnswers]:
        raise Error("kernels", "were asked")

    monkeypatch.setattr(ask, "ask", refuse)
    assert run(["verifier-log", "matrix", path]) == ExitCode.CANNOT_RUN
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and path in err


def test_a_mistyped_type_gets_a_hint(capsys: Capsys) -> None:
    assert run(["verifier-log", "matrix", str(OBJECT), "--type", "xpd"]) == ExitCode.CANNOT_RUN
    assert "did you mean" in capsys.readouterr().err
