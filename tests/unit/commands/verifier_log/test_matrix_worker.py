# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs on each kernel of the matrix, as it would here: the lines that it writes."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.commands.verifier_log import matrix_worker
from kprobe_tool.native import bpf, libbpf
from kprobe_tool.native.libbpf import Loaded

from ...corpus.test_corpus import log
from ...documents import OBJECT

Json = dict[str, Any]


def lines(path: str, *programs: str) -> list[Json]:
    reader, writer = os.pipe()
    with open(reader, "rb") as answers:
        try:
            matrix_worker.main([str(writer), path, "", *programs])
        finally:
            os.close(writer)
        return [json.loads(line) for line in answers]


@pytest.fixture
def rejected_by_libbpf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading takes root: whichever program of an object, it is rejected as 7.3-rc7 rejected one."""
    answer = bpf.LoadAnswer(errno.EINVAL, log("7.3-rc7", "leak-two"), True, None)
    monkeypatch.setattr(libbpf, "load", lambda path, name, level, prog_type: Loaded(answer, errno.EINVAL, ()))


@pytest.mark.usefixtures("rejected_by_libbpf")
def test_programs_stand_between_host_and_done() -> None:
    host, *programs, done = lines(str(OBJECT))
    assert host["host"]["release"] == os.uname().release
    assert [(each["program"]["program"], each["program"]["outcome"]) for each in programs] == [("count", "rejected")]
    assert done == {"done": True}


def test_a_missing_file_is_an_error_before_done(tmp_path: Path) -> None:
    _, error, done = lines(str(tmp_path / "none.o"))
    assert error["error"]["program"] is None
    assert error["error"]["errno"] == "ENOENT"
    assert done == {"done": True}


def test_a_missing_program_is_an_error_before_done() -> None:
    _, error, done = lines(str(OBJECT), "nobody")
    assert "nobody" in error["error"]["subject"] + error["error"]["reason"]
    assert done == {"done": True}
