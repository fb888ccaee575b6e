# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of ``verifier-log matrix`` that runs on each kernel: python -m ... DESCRIPTOR PATH TYPE PROGRAM...

It loads as ``verifier-log load`` does, and writes what becomes of each program at once: the kernel may not survive
the next one. A line of JSON for the ``host``, each ``program``, each ``error``, and one that it is ``done``.
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
    """With the program that it is about; None where it is the file."""
    program = error.subject.removeprefix(f"{path}: ")
    return {**error.as_dict(), "program": None if program == error.subject else program}


def main(arguments: Sequence[str]) -> None:
    descriptor, path, prog_type, *wanted = arguments
    with open(int(descriptor), "wb", buffering=0, closefd=False) as channel:

        def tell(**what: object) -> None:
            channel.write(json.dumps(what).encode() + b"\n")

        tell(host=host.identity())
        try:
            for result in load_programs(path, tuple(wanted), prog_type or None, 1, raw=False, licence="GPL"):
                if isinstance(result, Error):
                    tell(error=error_row(path, result))
                else:
                    tell(program=load_row(result))
        except Error as error:
            tell(error=error_row(path, error))
        tell(done=True)


if __name__ == "__main__":
    # What libraries print is not for the channel.
    saved = os.dup(1)
    os.dup2(2, 1)
    main([str(saved) if sys.argv[1] == "1" else sys.argv[1], *sys.argv[2:]])
