# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs on each kernel of the matrix, as it would here: the lines that it writes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.commands.verifier_log import matrix_worker

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


@pytest.mark.usefixtures("rejected")
def test_programs_stand_between_host_and_done() -> None:
    host, *programs, done = lines(str(OBJECT))
    assert host["host"]["release"] == os.uname().release
    assert [each["program"]["program"] for each in programs] == ["count"]
    assert done == {"done": True}


def test_a_missing_file_is_an_error_before_done(tmp_path: Path) -> None:
    _, error, done = lines(str(tmp_path / "none.o"))
    assert error["error"]["program"] is None
    assert error["error"]["errno"] == "ENOENT"
    assert done == {"done": True}


@pytest.mark.usefixtures("rejected")
def test_a_missing_program_is_an_error_before_done() -> None:
    _, error, done = lines(str(OBJECT), "nobody")
    assert "nobody" in error["error"]["subject"] + error["error"]["reason"]
    assert done == {"done": True}
