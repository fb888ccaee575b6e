# SPDX-License-Identifier: GPL-2.0-or-later
"""The process: the signals as a program written in C has them, before anything of size is imported."""

import sys


def main() -> None:
    try:
        import signal

        # Python's own handler raises KeyboardInterrupt, which looks like a bug wherever nobody expects it: while
        # modules are imported, or in a child. A command that has something to finish sets a handler of its own
        # (native/stop.py).
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        # Ignored by some init systems and cron wrappers, and inherited: a child could not be waited for.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    except KeyboardInterrupt:
        # 128 + SIGINT, as ExitCode.INTERRUPTED, which is not there yet.
        sys.exit(130)
    from kprobe_tool import cli

    sys.exit(cli.main())


if __name__ == "__main__":
    main()
