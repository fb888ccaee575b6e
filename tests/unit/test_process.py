# SPDX-License-Identifier: GPL-2.0-or-later
"""The process: streams that are closed or full, and signals at any moment, for every command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kprobe_tool.errors import ExitCode, PluginState

from .documents import COMMAND_LINES

ARGV = [sys.executable, "-m", "kprobe_tool"]
OTHERS = {"help": ["--help"], "version": ["--version"], "one-schema": ["schema", "audit"]}
EVERY = {**COMMAND_LINES, **OTHERS}
of_command_lines = pytest.mark.parametrize("args", EVERY.values(), ids=list(EVERY))

# What a sitecustomize.py adds to the process: a signal at one moment, as a condition and not as a time.
SIGNALLING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
moment, number = os.environ["MOMENT"].split(":")

def raise_it():
    os.killpg(0, int(number))

class Importing:
    def find_spec(self, name, path=None, target=None):
        if name == moment:
            raise_it()

def auditing(event, arguments):
    if event == moment:
        raise_it()

if moment == "child":
    os.register_at_fork(after_in_child=raise_it)
elif moment.startswith("os."):
    sys.addaudithook(auditing)
else:
    sys.meta_path.insert(0, Importing())
"""


def run(args: list[str], **streams: int) -> subprocess.CompletedProcess[bytes]:
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run([*ARGV, *args], check=False, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def run_in_shell(args: list[str], redirection: str) -> subprocess.CompletedProcess[bytes]:
    """With a stream closed, which subprocess cannot do."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *ARGV, *args],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )


@of_command_lines
def test_closed_stdout_is_no_verdict(args: list[str]) -> None:
    done = run_in_shell(args, ">&-")
    assert (done.returncode, done.stderr) == (ExitCode.CANNOT_RUN, b"kprobe-tool: standard output: closed\n")


@of_command_lines
def test_closed_stderr_is_no_verdict(args: list[str]) -> None:
    done = run_in_shell(args, "2>&-")
    assert (done.returncode, done.stdout) == (ExitCode.CANNOT_RUN, b"")


@of_command_lines
def test_full_disk_is_no_verdict(args: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = run(args, stdout=full.fileno())
    assert b"Traceback" not in done.stderr and b"Exception" not in done.stderr
    # What may not ask here has nothing to write.
    if done.returncode != ExitCode.CANNOT_TELL:
        assert done.returncode == ExitCode.CANNOT_RUN
        assert done.stderr.splitlines()[-1].endswith(b"standard output: No space left on device (ENOSPC)")


def test_a_full_disk_behind_stderr_keeps_the_exit_code() -> None:
    with open("/dev/full", "wb") as full:
        done = run(["rds-info", "--bogus"], stderr=full.fileno())
    assert (done.returncode, done.stdout) == (ExitCode.CANNOT_RUN, b"")


def test_closed_streams_keep_the_exit_code() -> None:
    assert run_in_shell(["audit"], "<&- >&- 2>&-").returncode == ExitCode.CANNOT_RUN


def test_stdout_that_cannot_be_written_is_one_line() -> None:
    with open("/dev/null", "rb") as null:
        done = run(["explain", "rds-bind-netns"], stdout=null.fileno())
    assert done.returncode == ExitCode.CANNOT_RUN
    assert done.stderr == b"kprobe-tool: explain: standard output: Bad file descriptor (EBADF)\n"


def test_closed_stdin_is_of_no_matter() -> None:
    assert run_in_shell(["explain", "rds-bind-netns"], "<&-").returncode == ExitCode.OK
    done = run_in_shell(["verifier-log", "explain"], "<&-")
    assert done.returncode == ExitCode.CANNOT_RUN
    assert done.stderr == b"kprobe-tool: verifier-log explain: standard input: closed\n"


def test_a_plugin_without_stdout_is_not_ok() -> None:
    assert run_in_shell(["audit", "-o", "nrpe"], ">&-").returncode not in {PluginState.OK, PluginState.WARNING}


def run_and_signal(args: list[str], moment: str, number: int, tmp_path: Path) -> subprocess.CompletedProcess[bytes]:
    """The process, which gets the signal at this moment, with all of its process group, as from a terminal."""
    (tmp_path / "sitecustomize.py").write_text(SIGNALLING)
    return subprocess.run(
        [*ARGV, *args],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "MOMENT": f"{moment}:{number}"},
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["click", "kprobe_tool.cli", "kprobe_tool.report.output"])
def test_a_signal_while_importing_is_silent(moment: str, number: signal.Signals, tmp_path: Path) -> None:
    done = run_and_signal(["--version"], moment, number, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (-number, b"", b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("args", COMMAND_LINES.values(), ids=list(COMMAND_LINES))
def test_a_signal_while_the_command_is_imported_is_silent(
    args: list[str], number: signal.Signals, tmp_path: Path
) -> None:
    done = run_and_signal(args, "kprobe_tool.commands.options", number, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (-number, b"", b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["os.fork", "child"])
@pytest.mark.parametrize("args", [["audit"], ["check-fields", "openat2"], ["doctor"]], ids=" ".join)
def test_a_signal_around_a_fork_is_silent(
    args: list[str], moment: str, number: signal.Signals, tmp_path: Path
) -> None:
    done = run_and_signal(args, moment, number, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (-number, b"", b"")


def test_ignored_signals_stay_so() -> None:
    """A shell ignores SIGINT for what it starts in the background; some init systems do SIGCHLD."""

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    code = (
        "import signal, os\n"
        "from kprobe_tool import cli\n"
        "from kprobe_tool.__main__ import main\n"
        "cli.main = lambda: os.kill(os.getpid(), signal.SIGINT) or 7\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, preexec_fn=ignore)
    assert done.returncode == 7
    done = subprocess.run([*ARGV, "audit", "-o", "json"], check=False, preexec_fn=ignore, capture_output=True)
    assert done.returncode in {ExitCode.OK, ExitCode.FOUND}, done.stderr


def test_too_little_memory_is_one_line() -> None:
    code = (
        "import sys\n"
        "from kprobe_tool import cli\n"
        "from kprobe_tool.commands.audit import command\n"
        "def fail(*args, **options): raise MemoryError\n"
        "command.list_document = fail\n"
        "sys.exit(cli.run(['audit', '--list']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == ExitCode.CANNOT_TELL
    assert done.stderr == b"kprobe-tool: audit: there is not enough memory (ENOMEM)\n"


IMPORT = """
import resource, sys
from kprobe_tool.__main__ import main
class Failing:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            {limit}
            raise {error}
sys.modules.pop({module!r}, None)
sys.meta_path.insert(0, Failing())
main()
"""
NO_ROOM = "resource.setrlimit(resource.RLIMIT_DATA, (0, 0))"


@pytest.mark.parametrize("module", ["kprobe_tool.errors", "kprobe_tool.commands.audit.command"])
@pytest.mark.parametrize(
    ("error", "limit", "line"),
    [
        ("MemoryError", "", r"there is not enough memory \(ENOMEM\)"),
        # What Python raises where it has no memory to compile, or to raise anything.
        ("SystemError('error return without exception set')", NO_ROOM, r".*\(ENOMEM\)"),
        ("ValueError('x')", NO_ROOM, r".*\(ENOMEM\)"),
        ("SyntaxError('x')", NO_ROOM, r".*\(ENOMEM\)"),
        ("ImportError('x')", "", "installation: .*"),
    ],
)
def test_an_import_that_fails_is_one_line(module: str, error: str, limit: str, line: str) -> None:
    """Wherever it fails, and never with Python's own 1."""
    code = IMPORT.format(module=module, error=error, limit=limit)
    argv = [sys.executable, "-c", code, "audit", "--list"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == ExitCode.CANNOT_TELL, done.stderr
    assert re.fullmatch(rf"kprobe-tool: (audit: )?{line}\n", done.stderr), done.stderr


def test_what_has_no_room_ends_before_it_imports_anything() -> None:
    """In the midst of click's imports Python finds no memory for its exceptions, and calls abort()."""
    code = (
        "import resource, sys\n"
        "from kprobe_tool.__main__ import LEAST_MEMORY, main\n"
        "size = next(line for line in open('/proc/self/status') if line.startswith('VmData:'))\n"
        "limit = int(size.split()[1]) * 1024 + LEAST_MEMORY // 2\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))\n"
        "class Failing:\n"
        "    def find_spec(self, name, path=None, target=None): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Failing())\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, "--version"], check=False, capture_output=True)
    assert done.returncode == ExitCode.CANNOT_TELL
    assert done.stderr == b"kprobe-tool: there is not enough memory (ENOMEM)\n"


def test_no_memory_to_name_what_failed_is_one_line() -> None:
    error = "type('Untold', (Exception,), {'__str__': lambda self: bytes(1 << 60)})"
    code = IMPORT.format(module="kprobe_tool.errors", error=error, limit="")
    done = subprocess.run([sys.executable, "-c", code, "audit"], check=False, capture_output=True)
    assert done.returncode == ExitCode.CANNOT_TELL
    assert done.stderr == b"kprobe-tool: there is not enough memory (ENOMEM)\n"


def test_no_memory_to_say_so_is_one_line() -> None:
    """The MemoryError of whoever tells of one."""
    code = (
        "from kprobe_tool import cli\n"
        "from kprobe_tool.__main__ import main\n"
        "def fail(*args, **options): raise MemoryError\n"
        "cli.cli.main = cli.say = fail\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, "audit"], check=False, capture_output=True)
    assert done.returncode == ExitCode.CANNOT_TELL
    assert done.stderr == b"kprobe-tool: there is not enough memory (ENOMEM)\n"
