# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of ``verifier-log matrix`` that runs on each kernel: python -m ... DESCRIPTOR PATH TYPE PROGRAM...

It loads as ``verifier-log load`` does, and writes lines of JSON: for the ``host``, each ``program``, each ``error``,
and one that it is ``done``. It writes each at once, since the kernel may not survive the next program.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from kprobe_tool.commands.verifier_log.load import load_programs, load_row
from kprobe_tool.errors import Error
from kprobe_tool.probes import host


def error_row(path: str, error: Error) -> dict[str, object]:
    """The JSON object of an error, with the program that it is about; None where it is about the file."""
    program = error.subject.removeprefix(f"{path}: ")
    return {**error.as_dict(), "program": None if program == error.subject else program}


def main(arguments: Sequence[str]) -> None:
    descriptor, path, prog_type, *wanted = arguments
    with open(int(descriptor), "wb", buffering=0, closefd=False) as channel:

        def send(**what: object) -> None:
            channel.write(json.dumps(what).encode() + b"\n")

        send(host=host.identity())
        try:
            for result in load_programs(path, tuple(wanted), prog_type or None, 1, raw=False, licence="GPL"):
                if isinstance(result, Error):
                    send(error=error_row(path, result))
                else:
                    send(program=load_row(result))
        except Error as error:
            send(error=error_row(path, error))
        send(done=True)


if __name__ == "__main__":
    # What libraries print is not for the channel.
    saved = os.dup(1)
    os.dup2(2, 1)
    main([str(saved) if sys.argv[1] == "1" else sys.argv[1], *sys.argv[2:]])
