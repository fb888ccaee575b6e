# SPDX-License-Identifier: GPL-2.0-or-later
"""Statistics in the three forms that kernels write them in, and where the work went."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.probes.verifier.log.stats import HotLine, Subprogram, parse_stats, read_file, read_log

from ....corpus.test_corpus import RELEASES, log

FUNCTIONS = "accepted-with-functions"


def test_old_kernels_tell_no_depth_of_the_stack() -> None:
    found = parse_stats(log("6.1.192", f"{FUNCTIONS}.stats"))
    assert (found.insns_processed, found.insns_limit, found.total_states, found.peak_states) == (177, 1000000, 4, 4)
    assert found.verification_time_us == 3567
    assert found.stack_depth is None
    assert [each.stack for each in found.subprograms] == [32, 0, 32, 16]
    assert found.subprograms[0] == Subprogram(0, None, "main", None, None, 32)
    assert found.subprograms[3] == Subprogram(3, None, None, None, None, 16)


def test_root_functions_have_a_total() -> None:
    found = parse_stats(log("7.2.12", f"{FUNCTIONS}.stats"))
    assert found.stack_depth == 48
    assert found.subprograms[0] == Subprogram(0, None, "main", None, 329, 32)
    assert found.subprograms[3].insns_total is None


def test_each_function_has_a_line() -> None:
    found = parse_stats(log("7.3-rc7", f"{FUNCTIONS}.stats"))
    assert found.stack_depth == 48
    assert found.subprograms == (
        Subprogram(0, FUNCTIONS.replace("-", "_"), "main", 29, 329, 32),
        Subprogram(1, "called_back", "static", 20, 20, 0),
        Subprogram(2, "summed", "static", 280, 280, 32),
        Subprogram(3, "checked_once", "global", 9, 9, 16),
    )


def test_a_function_may_have_no_name() -> None:
    line = b"subprog 0 (<unknown>) main insns_self 1 insns_total 2 stack 3\nprocessed 1 insns (limit 2) "
    assert parse_stats(line).subprograms == (Subprogram(0, None, "main", 1, 2, 3),)


@pytest.mark.parametrize("release", RELEASES)
def test_a_log_without_statistics_has_the_count_only(release: str) -> None:
    found = parse_stats(log(release, "accepted-at-once"))
    assert found.insns_processed == 2
    assert (found.verification_time_us, found.stack_depth, found.subprograms) == (None, None, ())


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", ["accepted-with-branches", FUNCTIONS])
def test_every_instruction_is_counted_at_level_2(release: str, name: str) -> None:
    """Kernels from 7.0 on list all instructions before they verify them: those must not count."""
    found = parse_stats(log(release, f"{name}.stats2"))
    assert found.insns_processed is not None
    assert 0.95 * found.insns_processed <= found.insns_shown + found.insns_pruned <= found.insns_processed
    assert sum(line.insns for line in found.lines) == found.insns_shown
    assert [line.insns for line in found.lines] == sorted((line.insns for line in found.lines), reverse=True)


def test_the_hottest_line_comes_first() -> None:
    new = parse_stats(log("6.12.43", f"{FUNCTIONS}.stats2")).lines[0]
    assert new == HotLine("accepted.bpf.c", 12, "sum += table[(from + i) & 63];", 256)
    old = parse_stats(log("6.1.192", f"{FUNCTIONS}.stats2")).lines[0]
    assert (old.file, old.line, old.source) == (None, None, new.source)


def test_the_last_attempt_counts() -> None:
    twice = log("6.18.44", "accepted-at-once") + log("6.18.44", "accepted-with-branches")
    assert parse_stats(twice).insns_processed == parse_stats(log("6.18.44", "accepted-with-branches")).insns_processed


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"hello\n", b"; a line\n", b"processed insns (limit 1)"])
def test_what_is_no_log_is_refused(data: bytes) -> None:
    with pytest.raises(Error, match="no statistics"):
        read_log(data, "x")


def test_what_is_no_text_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "zeros"
    with path.open("wb") as file:
        file.truncate(1 << 32)
    begin = time.process_time()
    with pytest.raises(Error, match="holds no statistics of the BPF verifier: it begins with bytes that are no text"):
        read_file(str(path))
    assert time.process_time() - begin < 1


def test_a_line_without_end_is_told_without_reading_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"0: (b7) r0 = 0\n" + b"a" * (2 << 20))
    # To read so much takes longer than a collection of all garbage that other tests have left.
    os.truncate(path, 1 << 34)
    begin = time.process_time()
    with pytest.raises(Error, match="holds a line longer than 1 MiB"):
        read_file(str(path))
    assert time.process_time() - begin < 2


def test_a_pipe_without_end_is_given_up() -> None:
    """The reader gives up at a limit, and does not fill the memory."""
    reading, writing = os.pipe()
    with subprocess.Popen(["cat", "/dev/zero"], stdout=writing) as cat:
        os.close(writing)
        try:
            with pytest.raises(Error, match="larger than 256 MiB"):
                read_file(f"/dev/fd/{reading}")
        finally:
            os.close(reading)
        cat.wait()


def test_a_pipe_is_read_like_a_file() -> None:
    """As a shell's <(command) gives it: written and closed before it is read, here."""
    data = log("6.18.44", "accepted-with-branches")
    reading, writing = os.pipe()
    # Less than a pipe holds.
    assert os.write(writing, data) == len(data) < 1 << 16
    os.close(writing)
    assert read_file(f"/dev/fd/{reading}") == parse_stats(data)
    os.close(reading)


def test_what_is_too_long_is_cut() -> None:
    data = b"; " + b"x" * 100000 + b" @ a.c:1\n0: (b7) r0 = 0\n"
    assert len(parse_stats(data).lines[0].source) <= 512


def test_no_text_takes_more_than_linear_time() -> None:
    """Nothing here takes more than linear time."""
    data = (
        b"; "
        + b"@ " * 200000
        + b"\n"
        + b"1+" * 200000
        + b"\nstack depth "
        + b"1+" * 200000
        + b"\n"
        + b"1: (" * 200000
    )
    start = time.process_time()
    parse_stats(data)
    assert time.process_time() - start < 5
