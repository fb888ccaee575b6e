# SPDX-License-Identifier: GPL-2.0-or-later
"""The process: the signals as a program written in C has them, before anything of size is imported, and its end."""

import os

CANNOT_TELL, INTERRUPTED = 3, 130
"""As in ExitCode, which is not there before it is imported."""


def main() -> None:
    # Not sys.exit(): an exception and the end of an interpreter take memory, and where there is none Python prints a
    # traceback and ends with 1, which reads as FOUND. All that was to be written has been, see cli.finish().
    os._exit(run())


def run() -> int:
    """This process's command line; the exit code."""
    try:
        restore_signals()
        from kprobe_tool import cli

        return cli.main()
    except KeyboardInterrupt:
        return INTERRUPTED
    except MemoryError:
        # While a module is imported, or of whoever tells of one.
        return refuse("there is not enough memory (ENOMEM)")
    except Exception as error:  # Python's own exit code, 1, would read as FOUND.
        # Python has other words as well where it finds no memory to import a module: SyntaxError, SystemError.
        reason = f"{type(error).__name__}: {error}"
        return refuse(f"installation: {reason}; a file is missing or damaged, or there is too little memory (ENOMEM)")


def restore_signals() -> None:
    import signal

    # Python's own handler raises KeyboardInterrupt, which looks like a bug wherever nobody expects it: while
    # modules are imported, or in a child. A command that has something to finish sets a handler of its own
    # (native/stop.py).
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Ignored by some init systems and cron wrappers, and inherited: a child could not be waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def refuse(reason: str) -> int:
    """Say why there is no answer, to whom can hear it; the exit code."""
    try:
        os.write(2, f"kprobe-tool: {reason}\n".encode("ascii", "backslashreplace"))
    except OSError:
        # Then the exit code alone tells.
        pass
    return CANNOT_TELL


if __name__ == "__main__":
    main()
