# SPDX-License-Identifier: GPL-2.0-or-later
"""The entry point: the commands by name, global options, and the one place that catches errors."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

import click

from kprobe_tool import __version__
from kprobe_tool.errors import Error, ExitCode, PluginState
from kprobe_tool.lazy import LazyGroup, examples
from kprobe_tool.report.output import PROGRAM, say

COMMANDS = {
    "audit": ("kprobe_tool.commands.audit.command", "Run all checks and print one verdict for each."),
    "bugreport": (
        "kprobe_tool.commands.bugreport",
        "Collect what a bug report needs, without the names of this host.",
    ),
    "check-fields": ("kprobe_tool.commands.check_fields", "Show what extensible-struct system calls understand."),
    "doctor": ("kprobe_tool.commands.doctor", "Show which commands work on this host, and how to get the rest."),
    "explain": ("kprobe_tool.commands.explain", "Say what a check means, what shows it, and what to do about it."),
    "fleet": ("kprobe_tool.commands.fleet.command", "Merge the audits of many hosts into one."),
    "nvme-queues": (
        "kprobe_tool.commands.nvme_queues",
        "Show NVMe I/O queues, and what breaks at the next reconnect.",
    ),
    "rds-info": ("kprobe_tool.commands.rds_info.command", "Show RDS sockets, connections, messages and counters."),
    "schema": ("kprobe_tool.commands.schema", "Print the JSON Schema of a document, or list them."),
    "skmsg": ("kprobe_tool.commands.skmsg", "Check whether BPF socket programs could overwrite cached file pages."),
    "verifier-log": ("kprobe_tool.commands.verifier_log", "Explain what the BPF verifier says about a program."),
}
"""Name: (module with a ``command``, short help), for LazyGroup."""
PLUGIN = r"(?<!\S)(-[qv]*o *|--output[= ])nrpe(?!\S)"
"""``-o nrpe`` in a command line, also in one that click refuses: a monitoring system waits for a plugin's answer."""
COMPLETING = "_KPROBE_TOOL_COMPLETE"
"""Set by the shell that wants completion, as click reads it."""
MODULE_SPACE = 4 << 20
"""Bytes with which any module can be imported."""
NO_MEMORY = "there is not enough memory (ENOMEM)"
STREAMS = ("standard output", "standard error")


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    epilog=examples(
        "kprobe-tool audit",
        "kprobe-tool help rds-info",
        "kprobe-tool -v check-fields openat2",
    ),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Colour the output; 'auto' does on a terminal unless NO_COLOR is set or TERM is dumb.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log each question to the kernel to standard error.")
@click.option("--version", is_flag=True, help="Print the version and exit; with -v those of all that is used.")
@click.pass_context
def cli(ctx: click.Context, color: str, *, verbose: bool, version: bool) -> ExitCode:
    """Ask the running Linux kernel, and say what its answer means."""
    if version:
        print_version(everything=verbose)
        ctx.exit()
    if verbose:
        from kprobe_tool.report.questions import log_questions

        log_questions()
    if color == "auto":
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        ctx.color = False if plain else None
    else:
        ctx.color = color == "always"
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        return ExitCode.CANNOT_RUN
    return ExitCode.OK


def register_fish() -> None:
    """Give fish a script that keeps what stands behind a comma: click's cuts descriptions and lists there."""
    from click.shell_completion import FishComplete, add_completion_class

    class Fish(FishComplete):
        source_template = FishComplete.source_template.replace('string split ","', 'string split -m 1 ","')

    add_completion_class(Fish)


def print_version(*, everything: bool) -> None:
    """This tool's version, and with ``everything`` the versions of what it is made of and runs on."""
    if not everything:
        click.echo(f"{PROGRAM} {__version__}")
        return
    from kprobe_tool.probes.versions import versions

    for name, version in versions().items():
        click.echo(f"{name} {version or 'not installed'}")


def reorder_options(args: Sequence[str]) -> list[str]:
    """A command line as click wants it: --color, -v and -o may stand before and behind the command, and
    ``help COMMAND`` is its --help."""
    if args[:1] == ["help"]:
        return [*args[1:], "--help"]
    given = list(args)
    end = given.index("--") if "--" in given else len(given)
    for_group: list[str] = []
    moved: list[str] = []
    rest: list[str] = []
    words = iter(given[:end])
    for word in words:
        if word == "--color" or word.startswith("--color="):
            for_group += [word, *([next(words, "")] if word == "--color" else [])]
        elif word in {"-v", "--verbose"}:
            for_group.append(word)
        elif not rest and (word in {"-o", "--output"} or word.startswith(("-o", "--output="))):
            moved += [word, *([next(words, "")] if word in {"-o", "--output"} else [])]
        else:
            rest.append(word)
    return [*for_group, *rest, *moved, *given[end:]]


def run(args: list[str]) -> int:
    """One command line, from arguments to exit code. Everything a user or a host can cause ends here as one line."""
    path: list[str] = []
    if COMPLETING in os.environ:
        register_fish()
    try:
        code = cli.main(reorder_options(args), prog_name=PROGRAM, standalone_mode=False, obj=path)
        sys.stdout.flush()
        return int(code or 0)
    except Error as error:
        return refuse(error, path, args, error.exit_code)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else " ".join([PROGRAM, *path])
        return refuse(f"{error.format_message().rstrip('.')}; see '{where} --help'", path, args)
    except click.ClickException as error:
        return refuse(error.format_message(), path, args)
    except BrokenPipeError:
        return ExitCode.BROKEN_PIPE
    except ImportError as error:
        reason = Error("installation", f"{error}", hint="a file is missing, or the system refuses to let it be read")
        return refuse(reason, path, args, ExitCode.CANNOT_TELL)
    except MemoryError:
        return refuse(NO_MEMORY, path, args, ExitCode.CANNOT_TELL)
    except OSError as error:
        failure = Error.from_os(str(error.filename or "a system call"), error)
        return refuse(failure, path, args, ExitCode.CANNOT_RUN if error.filename in STREAMS else failure.exit_code)
    except SystemExit as stop:
        # click ends the process itself in two cases: after shell completion, and with 1 on a closed pipe, which
        # would read as FOUND.
        if COMPLETING in os.environ:
            raise
        return ExitCode.BROKEN_PIPE if stop.code == 1 else ExitCode.CANNOT_RUN
    except Exception:  # A bug: Python's own exit code, 1, would read as FOUND.
        if is_memory_short():
            return refuse(NO_MEMORY, path, args, ExitCode.CANNOT_TELL)
        import traceback

        with contextlib.suppress(OSError):
            traceback.print_exc()
        return refuse("this is a bug in kprobe-tool, please report it with the lines above", path, args)


def is_memory_short() -> bool:
    """Whether there is too little memory to import a module, for which Python has other words than MemoryError."""
    try:
        bytearray(MODULE_SPACE)
    except MemoryError:
        return True
    return False


def refuse(
    reason: Error | str, path: Sequence[str], args: Sequence[str], code: ExitCode = ExitCode.CANNOT_RUN
) -> int:
    """Say why the command of this path has no answer, where the caller looks for it; the exit code."""
    # Where stderr is what fails, the exit code alone tells.
    with contextlib.suppress(OSError):
        say(reason, " ".join(path))
    if not re.search(PLUGIN, " ".join(args)):
        return code
    from kprobe_tool.report import nrpe

    with contextlib.suppress(OSError):
        click.echo(nrpe.failure(reason))
    return PluginState.UNKNOWN


class StandardStream(io.TextIOWrapper):
    """Standard output or error, whose failures say what it is that cannot be written."""

    def __init__(self, stream: TextIO, name: str) -> None:
        assert isinstance(stream, io.TextIOWrapper)
        encoding, by_line = stream.encoding, stream.line_buffering
        # A locale that cannot write a character must not turn an answer into a traceback.
        super().__init__(stream.detach(), encoding, "backslashreplace", line_buffering=by_line)
        self.called = name

    def write(self, text: str) -> int:
        with self.named_failures():
            return super().write(text)

    def flush(self) -> None:
        with self.named_failures():
            super().flush()

    @contextlib.contextmanager
    def named_failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = self.called
            raise


def finish() -> bool:
    """Write what is left, and keep the interpreter from doing so again; whether that worked."""
    written = True
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            written = False
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, number)
            os.close(null)
    return written


def main() -> int:
    """This process's command line; the exit code."""
    closed = [
        name
        for name, stream in zip(("standard input", *STREAMS), (sys.stdin, sys.stdout, sys.stderr), strict=True)
        if stream is None
    ]
    for _ in closed:
        # Takes the descriptor that is closed, the lowest free one. Otherwise the next socket or file that is opened
        # would get it, and with it what is printed.
        os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None or sys.stderr is None:
        # The answer, or what is missing in it, would reach nobody.
        if sys.stderr is not None:
            say(f"{closed[-1]}: closed")
        return ExitCode.CANNOT_RUN
    sys.stdout, sys.stderr = map(StandardStream, (sys.stdout, sys.stderr), STREAMS)
    code = run(sys.argv[1:])
    return code if finish() or code not in {ExitCode.OK, ExitCode.FOUND} else ExitCode.CANNOT_RUN
