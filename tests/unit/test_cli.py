# SPDX-License-Identifier: GPL-2.0-or-later
"""The entry point: exit codes, one-line errors, and what happens when stdout is gone."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable

import click
import pytest

from kprobe_tool import __version__, cli
from kprobe_tool.errors import Error, ExitCode, FileError

ARGV = [sys.executable, "-m", "kprobe_tool"]


def test_no_arguments_are_a_wrong_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == ExitCode.CANNOT_RUN
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Usage: kprobe-tool ")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["skmsg"], "kprobe-tool: skmsg: Missing command; see 'kprobe-tool skmsg --help'\n"),
        (["audt"], "kprobe-tool: no such command 'audt'; did you mean 'audit'?; see 'kprobe-tool --help'\n"),
        (["xyz"], "kprobe-tool: no such command 'xyz'; see 'kprobe-tool --help'\n"),
        (
            ["audit", "--only"],
            "kprobe-tool: audit: Option '--only' requires an argument; see 'kprobe-tool audit --help'\n",
        ),
        (
            ["rds-info", "--netns", "no\x1b[31msuch"],
            "kprobe-tool: rds-info: netns 'no\\x1b[31msuch': No such file or directory (ENOENT); "
            "'ip netns list' shows the names\n",
        ),
        (
            ["rds-info", "--laddr", "10.0.0"],
            "kprobe-tool: rds-info: address '10.0.0': '10.0.0' does not appear to be an IPv4 or IPv6 network; "
            "an address or a prefix such as 10.0.0.0/8\n",
        ),
        (
            ["rds-info", "--count", "2"],
            "kprobe-tool: rds-info: --count goes with --watch; see 'kprobe-tool rds-info --help'\n",
        ),
        (
            ["verifier-log", "explain", "/nonexistent/audit"],
            "kprobe-tool: verifier-log explain: /nonexistent/audit: No such file or directory (ENOENT)\n",
        ),
        *(
            (
                args,
                f"kprobe-tool: {command}: Invalid value for '{args[-2]}': '-' is no file; standard output holds the "
                f"document, and ./- is a file of that name; see 'kprobe-tool {command} --help'\n",
            )
            for command, args in (
                ("audit", ["audit", "--write", "-"]),
                ("rds-info", ["rds-info", "--save", "-"]),
                ("verifier-log explain", ["verifier-log", "explain", "--html", "-"]),
                ("verifier-log load", ["verifier-log", "load", "x", "--log", "-"]),
            )
        ),
        (
            ["rds-info", "--from", "/nonexistent"],
            "kprobe-tool: rds-info: /nonexistent: No such file or directory (ENOENT)\n",
        ),
    ],
)
def test_errors_are_one_line(args: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(args) == ExitCode.CANNOT_RUN
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == line


@pytest.mark.parametrize(
    ("args", "order"),
    [
        ([], []),
        (["help"], ["--help"]),
        (["help", "verifier-log", "load"], ["verifier-log", "load", "--help"]),
        (["-o", "json", "audit", "-q"], ["audit", "-q", "-o", "json"]),
        (["-ojson", "audit"], ["audit", "-ojson"]),
        (["--output=json", "audit"], ["audit", "--output=json"]),
        (["audit", "--color", "never", "-o", "json"], ["--color", "never", "audit", "-o", "json"]),
        (["audit", "--color=never"], ["--color=never", "audit"]),
        (["audit", "-v", "-q"], ["-v", "audit", "-q"]),
        (["--version", "--verbose"], ["--verbose", "--version"]),
        (["-o", "json", "explain", "--", "--color"], ["explain", "-o", "json", "--", "--color"]),
        (["audit", "--color"], ["--color", "", "audit"]),
    ],
)
def test_options_of_the_program_are_moved_to_the_front(args: list[str], order: list[str]) -> None:
    assert cli.reorder_options(args) == order


def test_versions_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == ExitCode.OK
    assert capsys.readouterr().out == f"kprobe-tool {__version__}\n"
    assert cli.run(["--version", "-v"]) == ExitCode.OK
    found = dict(line.split(" ", 1) for line in capsys.readouterr().out.splitlines())
    assert list(found) == ["kprobe-tool", "kernel", "python", "click", "pyroute2", "tabulate", "bcc", "libbpf"]
    assert found["kernel"] == os.uname().release
    assert re.fullmatch(r"\d+\.\d+(\.\d+)*", found["click"])


def test_options_may_stand_before_and_behind_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["-o", "json", "explain", "rds-bind-netns"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["document"] == "explain"
    assert cli.run(["explain", "--color", "always", "rds-bind-netns"]) == ExitCode.OK
    assert "\x1b[1m" in capsys.readouterr().out


@pytest.mark.parametrize("args", [["rds-info", "--bogus"], ["rds-info", "-o", "xml"], ["audit", "extra"]])
def test_usage_errors_name_the_help(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(args) == ExitCode.CANNOT_RUN
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].endswith(f"; see 'kprobe-tool {args[0]} --help'")
    assert "Traceback" not in "".join(lines)


def command_that_raises(error: BaseException) -> Callable[..., None]:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (Error("x", "y", hint="z"), ExitCode.CANNOT_RUN, "kprobe-tool: audit: x: y; z\n"),
        (OSError(5, "Input/output error", "/proc/x"), ExitCode.CANNOT_RUN, "kprobe-tool: audit: /proc/x: "),
        (Error("x", errno=1), ExitCode.CANNOT_TELL, "kprobe-tool: audit: x: Operation not permitted (EPERM)"),
        (FileError("x", errno=13), ExitCode.CANNOT_RUN, "kprobe-tool: audit: x: Permission denied (EACCES)"),
        (OSError(24, "Too many open files"), ExitCode.CANNOT_TELL, "kprobe-tool: audit: a system call: Too many "),
    ],
)
def test_exceptions_become_exit_codes(
    error: BaseException,
    code: ExitCode,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from kprobe_tool.commands.audit import command

    monkeypatch.setattr(command, "command", click.Command("audit", callback=command_that_raises(error)))
    assert cli.run(["audit"]) == code
    assert capfd.readouterr().err.startswith(text)


def test_a_bug_is_not_a_finding(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Python exits with 1 on an uncaught exception, which a script would read as 'found'."""
    from kprobe_tool.commands.audit import command

    monkeypatch.setattr(command, "command", click.Command("audit", callback=command_that_raises(ZeroDivisionError())))
    assert cli.run(["audit"]) == ExitCode.CANNOT_RUN
    assert "this is a bug" in capsys.readouterr().err


@pytest.mark.parametrize(
    "args", [["--help"], ["audit"], ["audit", "-o", "json"], ["doctor", "-o", "jsonl"]], ids=" ".join
)
def test_closed_pipe_is_silent(args: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*ARGV, *args], check=False, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (ExitCode.BROKEN_PIPE, b"")


@pytest.mark.parametrize("args", [["--help"], ["audit"], ["audit", "-o", "json"]], ids=" ".join)
def test_full_disk_is_an_error(args: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*ARGV, *args], check=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == ExitCode.CANNOT_RUN
    assert done.stderr.splitlines()[-1].endswith(b"standard output: No space left on device (ENOSPC)")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_errors_are_one_line_in_any_locale(locale: str) -> None:
    environment = {**os.environ, "LC_ALL": locale, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    name = "caf\u00e9-\u6f22"
    done = subprocess.run(
        [*ARGV, "rds-info", "--netns", name], check=False, capture_output=True, env=environment, text=False
    )
    assert done.returncode == ExitCode.CANNOT_RUN
    assert done.stderr.count(b"\n") == 1
    assert b"ENOENT" in done.stderr


@pytest.mark.parametrize(
    ("environment", "args", "coloured"),
    [
        ({}, [], False),
        ({}, ["--color", "always"], True),
        ({"NO_COLOR": "1"}, ["--color", "always"], True),
        ({"TERM": "dumb"}, ["--color", "always"], True),
    ],
)
def test_colour_is_asked_for_or_not(environment: dict[str, str], args: list[str], coloured: bool) -> None:
    done = subprocess.run(
        [*ARGV, *args, "rds-info", "--leak-check"],
        check=False,
        capture_output=True,
        env={**os.environ, **environment},
    )
    assert (b"\x1b[" in done.stdout) == coloured


def test_json_stays_json_in_colour() -> None:
    done = subprocess.run([*ARGV, "--color", "always", "audit", "-o", "json"], check=False, capture_output=True)
    assert json.loads(done.stdout)["schema_version"] == 1


@pytest.mark.parametrize(
    ("environment", "coloured"), [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, False)]
)
def test_colour_is_for_terminals_that_can(environment: dict[str, str], coloured: bool) -> None:
    ours, theirs = pty.openpty()
    plain = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    subprocess.run([*ARGV, "explain", "rds-bind-netns"], check=True, stdout=theirs, env={**plain, **environment})
    os.close(theirs)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    assert (b"\x1b[" in shown) == coloured
