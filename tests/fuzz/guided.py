# SPDX-License-Identifier: GPL-2.0-or-later
"""Coverage-guided fuzzing of one target: ``make fuzz``, or with libFuzzer's own options:

    python -m tests.fuzz.guided verifier-logs -max_total_time=600 DIRECTORY tests/corpus/logs/7.3.4

New inputs that reach new code are kept in DIRECTORY. What is found is an exception that the target does not name, an
answer that takes longer than -timeout, or something raw on its way to a terminal.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["kprobe_tool"]):
    from .targets import Files, targets


def main() -> None:
    name = sys.argv.pop(1)
    target = next(each for each in targets() if each.name == name)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        files = Files(Path(directory))
        for number, seed in enumerate(target.seeds):
            (seeds := Path(directory, "seeds")).mkdir(exist_ok=True)
            (seeds / str(number)).write_bytes(seed)
        corpus = [each for each in sys.argv[1:] if not each.startswith("-")]

        def feed_one(data: bytes) -> None:
            try:
                target.feed(data, files)
            except target.refuses:
                return

        atheris.Setup([sys.argv[0], "-timeout=5", *sys.argv[1:], *([str(seeds)] if corpus else [])], feed_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
