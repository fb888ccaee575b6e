# SPDX-License-Identifier: GPL-2.0-or-later
"""verifier-log load in every kernel: the whole corpus, the same as explain of its log, and nothing left of it."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.lab.offers import Kernel
from kprobe_tool.native import bpf, kallsyms, tracefs

from ... import bpffs
from ...corpus import short_release
from ...corpus.kernel import Symbols, symbols
from ...corpus.objects import object_file
from ...corpus.programs import ACCEPTED, PROGRAMS
from ...corpus.roundtrip import compare_by_command, load_and_explain, objects, objects_since
from .tool import as_nobody, forked, start, tool

UNPRIVILEGED = Path("/proc/sys/kernel/unprivileged_bpf_disabled")


@pytest.fixture
def kernel_symbols() -> Iterator[Symbols]:
    before = UNPRIVILEGED.read_text()
    UNPRIVILEGED.write_text("0")
    with symbols() as made:
        yield made
    UNPRIVILEGED.write_text(before)


def run(*args: str) -> tuple[int, str]:
    answer = tool(*args)
    return answer.code, answer.out


@pytest.mark.limit(900)
def test_load_and_explain_agree_on_the_whole_corpus(
    kernel: Kernel, kernel_symbols: Symbols, tmp_path: Path, expect_complaint: Callable[[str], None]
) -> None:
    """Every program is accepted or rejected as expected, and explained alike by load and by its log."""
    # kfunc-slice-size-pointer meets a bug of v7.3's verifier, which says so in the log.
    expect_complaint(r"verifier bug|WARNING: .*(kernel/bpf/|bpf_)")
    release = short_release(kernel.release, kernel.version)
    before = objects()
    loads, wrong = 0, []
    for program in PROGRAMS:
        found = load_and_explain(program, kernel_symbols, tmp_path)
        if found is None:
            continue
        loads += 1
        verdict, explained = found
        expected = program.expected(release)
        if isinstance(verdict, Error):
            assert expected[0] == "Privilege", program.name
            continue
        assert verdict.accepted == (expected == ACCEPTED), program.name
        assert verdict.complete
        assert verdict.diagnosis == explained, program.name
        if explained is not None and (explained.category, explained.problem) != expected:
            wrong.append((program.name, explained.category, explained.problem))
    assert loads >= 100
    assert len(wrong) <= loads * 0.05, wrong
    kernel_symbols.close()
    assert objects_since(before) == {}


def test_load_and_explain_agree_on_an_object(tmp_path: Path) -> None:
    before = objects()
    assert compare_by_command(run, object_file("locks"), tmp_path) == 9
    assert objects_since(before) == {}


def test_nothing_is_pinned() -> None:
    bpffs.assert_loading_pins_nothing()


@pytest.mark.parametrize("name", bpffs.REACHING)
def test_nothing_of_others_is_reached(name: str) -> None:
    bpffs.assert_loading_reaches_nothing(name)


@pytest.mark.parametrize("used", [False, True])
def test_pinned_maps_of_others_are_left_alone(used: bool) -> None:
    bpffs.assert_loading_leaves_pinned_maps_alone(used=used)


def test_live_maps_of_a_program_loaded_again_are_left_alone() -> None:
    bpffs.assert_reloading_leaves_live_maps_alone()


@pytest.mark.parametrize("declaration", bpffs.BCC_PINS.values(), ids=bpffs.BCC_PINS)
def test_tables_that_bcc_would_pin_are_refused(declaration: str, tmp_path: Path) -> None:
    bpffs.assert_bcc_pins_nothing(declaration, tmp_path)


def test_an_arena_leaves_nothing() -> None:
    bpffs.assert_an_arena_leaves_nothing()


def test_nothing_is_made_at_a_token_path() -> None:
    bpffs.assert_nothing_is_made_at_a_token_path()


def test_loaders_are_confined() -> None:
    bpffs.assert_confined_loaders_reach_nothing()


def test_only_programs_that_print_switch_the_trace_event_on() -> None:
    """The kernel does it for every program that may print, as the manual says: at the load, or soon after."""
    event = Path(tracefs.directory(), "events/bpf_trace/bpf_trace_printk/enable")
    event.write_text("0")
    run("verifier-log", "load", str(object_file("accepted")))
    time.sleep(1)
    assert event.read_text() == "0\n"
    run("verifier-log", "load", str(object_file("printing")))
    end = time.monotonic() + 10
    while event.read_text() == "0\n" and time.monotonic() < end:
        time.sleep(0.1)
    assert event.read_text() == "1\n"
    event.write_text("0")


def test_stats_of_a_saved_log_are_those_of_its_load(kernel: Kernel, tmp_path: Path) -> None:
    if not kallsyms.kernel_symbols({"bpf_loop"}):
        pytest.skip(f"{kernel.release} has no bpf_loop(), which the program calls")
    log = tmp_path / "log"
    path = str(object_file("accepted"))
    code, out = run(
        "verifier-log",
        "load",
        path,
        "--prog",
        "accepted_with_functions",
        "--level",
        "2",
        "--log",
        str(log),
        "-o",
        "json",
    )
    assert code == 0, out
    (row,) = json.loads(out)["results"]
    (stats,) = json.loads(run("verifier-log", "stats", str(log), "-o", "json")[1])["results"]
    assert {key: stats[key] for key in row["stats"]} == row["stats"]
    assert stats["lines"][0]["source"] == "sum += table[(from + i) & 63];"


@pytest.mark.parametrize("level", ["0", "1", "2"])
def test_instructions_are_loaded_at_every_level(level: str, tmp_path: Path) -> None:
    path = tmp_path / "hex"
    path.write_text("b7 00 00 00 02 00 00 00\n95 00 00 00 00 00 00 00\n")
    code, out = run(
        "verifier-log", "load", str(path), "--raw", "--type", "cgroup_skb", "--level", level, "-o", "json"
    )
    assert code == 1
    (row,) = json.loads(out)["results"]
    assert row["errno"] == "EINVAL"
    assert (row["log_size"] > 0) == (level != "0")


def test_a_long_log_is_read_whole(tmp_path: Path, kernel_symbols: Symbols) -> None:
    """Megabytes of log, and still the verifier's own errno, not ENOSPC."""
    # Each round is on the way to the rejection, so level 1 shows it.
    path = tmp_path / "insns"
    loop = bytes.fromhex("b700000000000000 0700000001000000 a500feff204e0000 b700000002000000 9500000000000000")
    path.write_bytes(loop)
    code, out = run("verifier-log", "load", str(path), "--raw", "--type", "cgroup_skb", "-o", "json")
    (row,) = json.loads(out)["results"]
    assert (code, row["errno"]) == (1, "EINVAL")
    assert row["log_size"] > bpf.LOG_SIZE
    assert row["log_complete"]


def test_nothing_is_left_after_a_kill() -> None:
    before = objects()
    for delay in (0.1, 0.3, 1):
        process = start("verifier-log", "load", str(object_file("accepted")), "--level", "2")
        time.sleep(delay)
        process.kill()
        process.join()
    assert objects_since(before) == {}


def test_nothing_is_left_after_a_kill_in_the_verifier(kernel_symbols: Symbols) -> None:
    """The longest verification there is: the signal ends it, and its maps go with the process."""
    code = (
        "from tests.corpus.kernel import load, symbols\n"
        "from tests.corpus.programs import PROGRAMS\n"
        "program = next(p for p in PROGRAMS if p.name == 'a-million-instructions')\n"
        "with symbols() as kernel_symbols:\n"
        "    kernel_symbols.map('hash')\n"
        "    print('there', flush=True)\n"
        "    while True:\n"
        "        load(program, kernel_symbols, 1)\n"
    )
    before = objects()
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=os.getcwd())
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.5)
    assert objects() != before
    process.kill()
    process.wait()
    process.stdout.close()
    assert objects_since(before) == {}


def test_a_limit_to_locked_memory_is_named_where_it_counts(kernel: Kernel, tmp_path: Path) -> None:
    """Root's programs count as well, before Linux v5.11."""
    path = tmp_path / "program.bin"
    path.write_bytes(bytes.fromhex("b700000000000000 9500000000000000"))
    answer = forked(
        lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, resource.RLIM_INFINITY)),
        *("verifier-log", "load", str(path), "--raw", "--type", "cgroup_skb", "-o", "json"),
    )
    if kernel.release.startswith("5.10."):
        assert answer.code == ExitCode.CANNOT_TELL
        assert "EPERM" in answer.err and "ulimit -l" in answer.err
    else:
        assert (answer.code, answer.err) == (ExitCode.OK, "")


def test_nobody_is_told_of_cap_bpf() -> None:
    UNPRIVILEGED.write_text("2") if UNPRIVILEGED.read_text().strip() == "0" else None
    answer = as_nobody("verifier-log", "load", str(object_file("accepted")))
    assert answer.code == 3
    assert "EPERM" in answer.err
    assert "CAP_BPF" in answer.err
