# SPDX-License-Identifier: GPL-2.0-or-later
"""audit from the command line to the exit code, on kernels that answer as the tests want."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kprobe_tool.checks import CHECKS, Check, Finding
from kprobe_tool.errors import Error, PluginState
from kprobe_tool.probes import audit
from kprobe_tool.report.output import Output

from ....processes import children, wait_for_end
from ... import formats
from ..refusals import assert_refused
from .audits import (
    AFFECTED,
    FIRST,
    FORMATS,
    HIGH,
    OK,
    OUTCOMES,
    SECOND,
    THIRD,
    Capsys,
    check_text,
    document,
    run_audit,
    segfault,
    statuses,
)


def hang() -> Finding:
    time.sleep(3600)
    return OK


def divide_by_zero() -> Finding:
    raise ZeroDivisionError("division by \x1b[31mzero")


def test_a_check_that_fails_costs_its_own_row(kernel: Callable[..., None], capfd: Capsys) -> None:
    kernel({FIRST: segfault, SECOND: hang, THIRD: divide_by_zero})
    before, start = children(), time.monotonic()
    found = document(capfd, "--timeout", "1")
    assert time.monotonic() - start < 30
    rows = {row["id"]: row for row in found["results"]}
    assert list(rows) == [check.id for check in CHECKS]
    assert [name for name, row in rows.items() if row["status"] == "unknown"] == [FIRST, SECOND, THIRD]
    assert rows[FIRST]["reason"] == "the check failed: the process that asked was killed by SIGSEGV"
    assert rows[SECOND]["reason"] == "no answer within 1 s, so the check was stopped"
    assert "ZeroDivisionError" in rows[THIRD]["reason"] and "test_command.py:" in rows[THIRD]["reason"]
    assert all(rows[name]["settle"] and rows[name]["evidence"] == {} for name in (FIRST, SECOND, THIRD))
    assert children() <= before


def test_a_check_without_a_process_is_unknown(monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    """That is unknown for the check that it was for, and the others are tried all the same."""
    forks = iter([None, None])
    fork = os.fork

    def fail_twice() -> int:
        if next(forks, 1) is None:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return fork()

    monkeypatch.setattr(os, "fork", fail_twice)
    monkeypatch.setattr(audit, "evaluate", lambda check: OK)
    rows = document(capsys)["results"]
    assert [row["status"] for row in rows] == ["unknown"] * 2 + ["ok"] * (len(CHECKS) - 2)
    assert {row["reason"] for row in rows[:2]} == {
        "this host had no room to run the check: "
        "fork(2) of a child process: Resource temporarily unavailable (EAGAIN)"
    }


@pytest.mark.parametrize("error", [Error("x", "y"), OSError(13, "Permission denied", "/proc/x")])
def test_what_keeps_a_check_from_asking_is_unknown(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    def fail(check: Check) -> Finding:
        raise error

    monkeypatch.setattr(Check, "run", fail)
    assert set(statuses(document(capsys)).values()) == {"unknown"}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["audit", "--only", "rds-bind-nets"], "'rds-bind-nets': no such check, system or CVE; did you mean"),
        (["audit", "--skip", "nvmee"], "did you mean 'nvme'?"),
        (
            ["audit", "--skip", "x\x1b"],
            "'x\\x1b': no such check, system or CVE; 'kprobe-tool audit --list' shows them",
        ),
        (["audit", "--only", "rds", "--skip", "rds"], "no check is left to run"),
        (["audit", "--timeout", "0"], "'--timeout'"),
        (["audit", "--timeout", "inf"], "'--timeout'"),
        (["audit", "--list", "-o", "prometheus"], "--list has no verdicts for -o prometheus"),
    ],
)
def test_bad_arguments_are_one_line(args: list[str], words: str, capsys: Capsys) -> None:
    assert_refused(args, words, capsys)


# --fail-on: the codes for high, medium, low, unknown, never; then the same of -o nrpe.
FAIL_ON = ("high", "medium", "low", "unknown", "never")
CODES = {
    "nothing": "00000",
    "low": "00110",
    "high": "11110",
    "unknown": "00030",
    "both": "00110",
    "crash": "00030",
}
PLUGIN_CODES = {
    "nothing": "00000",
    "low": "00110",
    "high": "22220",
    "unknown": "00030",
    "both": "00110",
    "crash": "00030",
}


@pytest.mark.parametrize("fail_on", FAIL_ON)
@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("output", FORMATS)
def test_exit_codes_and_formats_agree(
    output: Output, outcome: str, fail_on: str, kernel: Callable[..., None], capsys: Capsys
) -> None:
    kernel(OUTCOMES[outcome])
    code, out, err = run_audit(capsys, "-o", output.value, "--fail-on", fail_on)
    codes = PLUGIN_CODES if output is Output.NRPE else CODES
    assert code == int(codes[outcome][FAIL_ON.index(fail_on)])
    assert err == ""
    check_text(output, out, OUTCOMES[outcome])
    if output is Output.NRPE:
        assert formats.nrpe(out)[0] == PluginState(code).name


@pytest.mark.parametrize("output", FORMATS)
def test_a_written_document_replaces_the_old_one(
    output: Output, kernel: Callable[..., None], tmp_path: Path, capsys: Capsys
) -> None:
    kernel({HIGH: AFFECTED})
    path = tmp_path / "x"
    path.write_text("old")
    path.chmod(0o600)
    before = os.umask(0o077)
    try:
        code, out, err = run_audit(capsys, "-o", output.value, "--write", str(path))
    finally:
        os.umask(before)
    assert (code, out, err) == (2 if output is Output.NRPE else 1, "", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["x"]
    text = path.read_text()
    assert "\x1b" not in text
    check_text(output, text, {HIGH: AFFECTED})


def test_progress_is_for_terminals() -> None:
    """On stderr, one line that is gone in the end; never where stderr is no terminal."""
    argv = [sys.executable, "-m", "kprobe_tool", "audit", "--all", "-o", "json"]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    json.loads(done.stdout)
    assert f"\r1/{len(CHECKS)} {FIRST} ...\x1b[K" in shown
    assert shown.endswith("\r\x1b[K") and "\n" not in shown
    done = subprocess.run(argv, check=False, capture_output=True)
    assert done.stderr == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once(number: signal.Signals) -> None:
    """A signal while a check hangs: it ends at once, and no process is left."""
    code = (
        "import signal, time\n"
        "from kprobe_tool.__main__ import main\n"
        "from kprobe_tool.probes import audit\n"
        # A shell ignores it for what it starts in the background.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "audit.evaluate = lambda check: time.sleep(3600)\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "audit", "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 30
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not children.read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        (child,) = children.read_text().split()
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (-number, b"", b"")
    assert wait_for_end(int(child))
