# SPDX-License-Identifier: GPL-2.0-or-later
"""verifier-log watch as a command: what it prints as it goes, how it ends, and that nothing is left."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.errors import ExitCode
from kprobe_tool.probes.verifier.watching.watch import (
    LoadFilter,
    LoadWatch,
)

from .. import loads, odd_loads
from ..loads import collect
from ..nobody import command_as_nobody
from ..skips import skip

ARGV = [sys.executable, "-m", "kprobe_tool", "verifier-log", "watch"]


@contextmanager
def run_watch(*args: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a process; in the block it is attached, as its header says."""
    with subprocess.Popen(
        [*ARGV, *args, "-o", "jsonl"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            header = process.stdout.readline()
            assert '"type": "header"' in header, process.communicate()
            yield process
        finally:
            process.kill()


def rows_of(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    return [json.loads(line) for line in out.splitlines()]


def programs_of_watch() -> set[int]:
    """The ids of the programs that a watch loads."""
    done = subprocess.run(["bpftool", "-j", "prog", "show"], check=True, capture_output=True, text=True)
    return {each["id"] for each in json.loads(done.stdout) if each.get("name") in {"load_enter", "load_exit"}}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.slow
def test_nothing_is_left_after_a_signal(watch: LoadWatch, number: signal.Signals) -> None:
    before = programs_of_watch()
    with run_watch("--comm", loads.OWN_COMM) as process:
        assert len(programs_of_watch() - before) == 2
        seen = loads.load_by_hand(5)
        assert process.stdout is not None
        # Each line comes at once.
        rows = [json.loads(process.stdout.readline()) for _ in seen]
        assert [(row["pid"], row["prog_name"], row["log"]["text"]) for row in rows] == [
            (each.pid, each.name, each.log.decode()) for each in seen
        ]
        process.send_signal(number)
        rest = rows_of(process)
    if number is signal.SIGKILL:
        assert rest == []
    else:
        assert process.returncode == ExitCode.after(number)
        summary = rest[-1]
        assert (summary["type"], summary["ended"]) == ("summary", "signal")
        assert summary["seen"] == summary["emitted"] + summary["dropped"]
    deadline = time.monotonic() + 10
    while programs_of_watch() - before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not programs_of_watch() - before


def test_once_ends_after_one_report(watch: LoadWatch) -> None:
    with run_watch("--once", "--comm", odd_loads.FLOOD) as process:
        seen = odd_loads.flood(3)
        first, summary = rows_of(process)
    assert (first["pid"], first["comm"]) == (seen.pid, odd_loads.FLOOD)
    assert (summary["ended"], summary["reports"]) == ("count", 1)
    assert summary["seen"] == summary["emitted"] + summary["dropped"]


def test_a_reader_that_goes_ends_it(watch: LoadWatch) -> None:
    with run_watch("--comm", odd_loads.FLOOD) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr is not None
        assert process.stderr.read().count("\n") <= 1


def test_nobody_gets_one_line() -> None:
    done = subprocess.run(command_as_nobody(ARGV), check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (ExitCode.CANNOT_TELL, "")
    assert done.stderr.count("\n") == 1
    assert "loads of BPF programs: Operation not permitted (EPERM); needs CAP_BPF" in done.stderr


def test_loads_of_bpftool_are_reported(watch: LoadWatch, tmp_path: Path) -> None:
    """bpftool loads with libbpf, which tries a second time with a log."""
    if shutil.which("clang") is None or shutil.which("bpftool") is None:
        skip("clang and bpftool are needed")
    source = tmp_path / "refused.bpf.c"
    source.write_text(
        '__attribute__((section("socket"), used)) int refused(void *ctx) { return *(int *)(ctx + 4096); }\n'
        '__attribute__((section("license"), used)) char terms[] = "GPL";\n'
    )
    compiled = source.with_suffix(".o")
    subprocess.run(["clang", "-g", "-O2", "-target", "bpf", "-c", str(source), "-o", str(compiled)], check=True)
    watch.start(LoadFilter(comm="bpftool"))
    process = subprocess.Popen(
        ["bpftool", "prog", "load", str(compiled), str(tmp_path / "pin")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    printed, _ = process.communicate()
    assert process.returncode
    reports, _ = collect(watch, {process.pid})
    (report,) = [each for each in reports if each.last.load.name == "refused"]
    assert [each.load.log_size > 0 for each in report.attempts] == [False, True]
    assert report.last.log
    # libbpf cuts what it prints of a long log, not of this one.
    assert report.last.log.strip() in printed
