# SPDX-License-Identifier: GPL-2.0-or-later
"""``check-fields`` as far as no kernel is asked: bad input, saved answers, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kprobe_tool import cli
from kprobe_tool.commands import check_fields
from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.native.prober import Prober
from kprobe_tool.probes.extensible_structs.compare import Difference


@pytest.fixture(autouse=True)
def forbid_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise AssertionError("the kernel was asked")

    monkeypatch.setattr(Prober, "ask", fail)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["openat"], "did you mean 'openat2'?"),
        (["OPENAT2"], "did you mean 'openat2'?"),
        (["pidfd_get_info"], "did you mean 'PIDFD_GET_INFO'?"),
        (["xyz"], "known are openat2, clone3"),
        ([], "which system call?"),
        (["openat2", "--all"], "either system calls or --all"),
        (["openat2", "clone3", "--require", "O_PATH"], "--require takes one system call"),
        (["openat2", "--require", "O_PATH", "--diff", "x"], "--require takes one system call"),
        (["openat2", "--diff", "/nonexistent"], "No such file or directory (ENOENT)"),
    ],
)
def test_bad_arguments_are_one_line(args: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check-fields", *args]) == ExitCode.CANNOT_RUN
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b'{"document": "check-fields", "results": 1}',
        b'{"document": "check-fields", "results": [{"syscall": "openat2"}]}',
        b'{"document": "audit", "results": [{"id": "a check"}]}',
        b"[" * 100000,
    ],
)
def test_what_is_no_saved_answer_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    path.write_bytes(content)
    with pytest.raises(Error, match="not the output of 'kprobe-tool check-fields"):
        check_fields.load(str(path))


def test_a_saved_answer_is_read(tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    path.write_text(
        json.dumps({"document": "check-fields", "results": [{"syscall": "openat2", "size": 24, "fields": []}]})
    )
    assert check_fields.load(str(path))["openat2", None, None, "size"] == 24


@pytest.mark.parametrize(
    ("differences", "errors", "code"),
    [
        ([], [], ExitCode.OK),
        ([Difference("x", None, None, "size", 24, 32)], [], ExitCode.FOUND),
        ([Difference("x", None, None, "size", None, 32)], [], ExitCode.CANNOT_TELL),
        ([Difference("x", "f", "F", "accepted", "unknown", "yes")], [], ExitCode.CANNOT_TELL),
        ([], [Error("file", "no answer for x")], ExitCode.CANNOT_TELL),
    ],
)
def test_the_exit_code_of_a_diff_is_that_of_its_differences(
    differences: list[Difference], errors: list[Error], code: ExitCode
) -> None:
    assert check_fields.diff_exit(differences, errors) is code
