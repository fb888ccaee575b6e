# SPDX-License-Identifier: GPL-2.0-or-later
"""The corpus is whole: every log is there, and expectations are the kernel's own words where it has some."""

from __future__ import annotations

import json
import lzma
import re
from collections import Counter
from functools import cache
from typing import Any

import pytest

from kprobe_tool.probes.verifier.explaining.explain import explain_bytes

from ...corpus import LOGS, NOT_ASKED
from ...corpus.loaders import DIRECTORY as SURROUNDED
from ...corpus.objects import SOURCES
from ...corpus.programs import ACCEPTED, NOBODY, PROGRAMS, Program

RELEASES = sorted(path.name for path in LOGS.iterdir())
LOADERS: dict[str, dict[str, str]] = json.loads((SURROUNDED / "index.json").read_text(encoding="utf-8"))
NATIVE = re.compile(rb"^Verification failed: (.*?)(?:: (.*))?$", re.MULTILINE)

of_releases = pytest.mark.parametrize("release", RELEASES)


@cache
def index(release: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((LOGS / release / "index.json").read_text(encoding="utf-8"))
    return found


def log(release: str, name: str) -> bytes:
    path = LOGS / release / f"{name}.txt"
    return path.read_bytes() if path.exists() else lzma.decompress(path.with_suffix(".txt.xz").read_bytes())


def rejected_programs(release: str) -> list[Program]:
    return [program for program in PROGRAMS if index(release).get(program.name, {}).get("errno")]


def test_the_corpus_is_of_seven_kernels() -> None:
    assert RELEASES == ["5.10.262", "6.1.192", "6.12.43", "6.18.44", "7.2.12", "7.3-rc7", "7.3.4"]


def test_names_are_unique() -> None:
    assert [name for name, count in Counter(program.name for program in PROGRAMS).items() if count > 1] == []


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_every_program_was_asked_about(program: Program) -> None:
    """A kernel that is gone when a program comes cannot be asked any more; one of them was."""
    records = [index(release).get(program.name, {"absent": NOT_ASKED}) for release in RELEASES]
    assert any(record.get("absent") != NOT_ASKED for record in records)


@of_releases
def test_every_program_is_recorded(release: str) -> None:
    records = index(release)
    assert {program.name for program in PROGRAMS} <= set(records)
    for name, record in records.items():
        if "absent" not in record:
            assert log(release, name).isascii(), name


@of_releases
def test_enough_are_rejected(release: str) -> None:
    assert len(rejected_programs(release)) >= 80


@of_releases
def test_what_is_absent_says_why(release: str) -> None:
    for program in PROGRAMS:
        absent = index(release)[program.name].get("absent")
        if absent is not None and absent != NOT_ASKED and program.who != NOBODY:
            assert "no kfunc" in absent or "no typeid" in absent or "libbpf: " in absent, (program.name, absent)


@of_releases
def test_what_is_accepted_is_expected_to_be(release: str) -> None:
    for program in PROGRAMS:
        record = index(release)[program.name]
        if "absent" not in record:
            assert (record["errno"] is None) == (program.expected(release) == ACCEPTED), program.name


@of_releases
def test_expectations_are_the_kernels_own(release: str) -> None:
    """Those of the first native block of a log; there are none before Linux v7.3."""
    native = 0
    for program in rejected_programs(release):
        match = NATIVE.search(log(release, program.name))
        assert (match is not None) == index(release)[program.name]["has_native"]
        if match is not None:
            native += 1
            assert (match[1].decode(), match[2].decode()) == program.expected(release), program.name
    assert native > 100 if release.startswith("7.3") else native == 0


@of_releases
def test_truncated_logs_end_with_enospc(release: str) -> None:
    truncated = [record for name, record in index(release).items() if name.endswith(".truncated")]
    assert truncated
    assert {record["errno"] for record in truncated} == {"ENOSPC"}


def test_every_c_program_is_a_function() -> None:
    for program in PROGRAMS:
        if not program.text:
            source = (SOURCES / f"{program.source}.bpf.c").read_text(encoding="utf-8")
            assert f"int {program.name.replace('-', '_')}(" in source


@pytest.mark.parametrize("name", LOADERS)
def test_what_loaders_print_is_explained_like_the_log_alone(name: str) -> None:
    """Whatever stands around a log, it is explained like the log alone."""
    program = next(program for program in PROGRAMS if program.name == LOADERS[name]["program"])
    diagnosis = explain_bytes((SURROUNDED / f"{name}.txt").read_bytes())
    assert (diagnosis.category, diagnosis.problem) == program.expected("6.18.44")
    assert diagnosis.errno == index("6.18.44")[program.name]["errno"]
