# SPDX-License-Identifier: GPL-2.0-or-later
"""Coverage-guided fuzzing of ``verifier-log explain``: ``make fuzz``, or with libFuzzer's own options:

    python -m tests.fuzz.verifier_log -max_total_time=600 DIRECTORY tests/corpus/logs/7.3-rc7

New inputs that reach new code are kept in DIRECTORY. What is found is a crash, an answer that takes longer than
-timeout, or something raw on its way to a terminal.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["kprobe_tool.probes.verifier", "kprobe_tool.commands"]):
    from kprobe_tool.commands.verifier_log.html import page
    from kprobe_tool.commands.verifier_log.picture import diagnosis_rows, picture
    from kprobe_tool.errors import Error
    from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
    from kprobe_tool.probes.verifier.explaining.redact import redact
    from kprobe_tool.report.document import Document
    from kprobe_tool.report.table import render

CONTROL = frozenset(map(chr, range(32))) - {"\x1b"}


def one(data: bytes) -> None:
    """Explain one input, and make of the diagnosis everything that can be made of it."""
    errno = ("EACCES", "ENOSPC", None)[len(data) % 3]
    try:
        diagnosis = redact(explain_bytes(data, errno))
    except Error:
        return
    diagnosis_rows(diagnosis)
    page(diagnosis, {"hostname": "h", "release": "r", "time": "t"})
    for line in render(Document("verifier-log", {}, [], picture=list(picture(diagnosis)))):
        if CONTROL & set(line):
            raise AssertionError(repr(line))


def main() -> None:
    atheris.Setup([sys.argv[0], "-timeout=5", *sys.argv[1:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
