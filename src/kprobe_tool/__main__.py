# SPDX-License-Identifier: GPL-2.0-or-later
"""The process: the signals as a program written in C has them, before anything of size is imported, and its end."""

import os

CANNOT_TELL, INTERRUPTED = 3, 130
"""As in ExitCode, which is not there before it is imported."""

LEAST_MEMORY = 6 << 20
"""Bytes that each command takes at least, beside the interpreter."""
NO_MEMORY = b"there is not enough memory (ENOMEM)"


def main() -> None:
    # Not sys.exit(): an exception and the end of an interpreter take memory, and where there is none Python prints a
    # traceback and ends with 1, which reads as FOUND. All that was to be written has been, see cli.finish().
    os._exit(run())


def run() -> int:
    """This process's command line; the exit code."""
    try:
        # Taken and given back. Where Python finds no memory in the midst of an import, it may well abort().
        bytes(LEAST_MEMORY)
        restore_signals()
        from kprobe_tool import cli

        return cli.main()
    except KeyboardInterrupt:
        return INTERRUPTED
    except MemoryError:
        # While a module is imported, or of whoever tells of one.
        return refuse(NO_MEMORY)
    except Exception as error:  # Python's own exit code, 1, would read as FOUND.
        return refuse(describe_failed_import(error))


def restore_signals() -> None:
    import signal

    # Python's own handler raises KeyboardInterrupt, which looks like a bug wherever nobody expects it: while
    # modules are imported, or in a child. A command that has something to finish sets a handler of its own
    # (native/stop.py).
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Ignored by some init systems and cron wrappers, and inherited: a child could not be waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def describe_failed_import(error: Exception) -> bytes:
    try:
        # Python has other words as well where it finds no memory to import a module: SyntaxError, SystemError.
        reason = f"{type(error).__name__}: {error}".encode("ascii", "backslashreplace")
        return b"installation: %b; a file is missing or damaged, or there is too little memory (ENOMEM)" % reason
    except MemoryError:
        return NO_MEMORY


def refuse(reason: bytes) -> int:
    """Say why there is no answer, to whom can hear it; the exit code."""
    try:
        os.write(2, b"kprobe-tool: %b\n" % reason)
    except OSError:
        # Then the exit code alone tells.
        pass
    return CANNOT_TELL


if __name__ == "__main__":
    main()
