# SPDX-License-Identifier: GPL-2.0-or-later
"""What verifier-log watch costs those who are watched: python bench/verifier_watch.py (as root).

Each figure is the best of several rounds, watched and not watched in turn, and what is printed is their ratio.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import loads

from kprobe_tool.native import bpf
from kprobe_tool.probes.live import Limits
from kprobe_tool.probes.verifier.watching.watch import Filters, LoadWatch

ROUNDS = 15


def bytes_copied(count: int) -> Callable[[], None]:
    """System calls that do little, made in C: dd reads and writes one byte at a time."""
    argv = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", f"count={count}", "status=none"]

    def run() -> None:
        os.waitpid(os.posix_spawnp("dd", argv, os.environ), 0)

    return run


def load(text: str, level: int, count: int) -> Callable[[], None]:
    """So many loads; the process is this one's child, since its own are never looked at."""
    made = loads.Buffers(loads.program(text, "bench"), level, loads.LOG_SIZE if level else 0)

    def run() -> None:
        child = os.fork()
        if child == 0:
            for _ in range(count):
                loads.call_bpf(bpf.BPF_PROG_LOAD, made.attr)
            os._exit(0)
        os.waitpid(child, 0)

    return run


def seconds(function: Callable[[], None]) -> float:
    """Of the processors, which others who use them do not lengthen much."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    function()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ratio(function: Callable[[], None], watch: LoadWatch, filters: Filters) -> float:
    """Time watched by time not watched."""
    watched, alone = [], []
    for _ in range(ROUNDS):
        alone.append(seconds(function))
        watch.start(filters)
        watched.append(seconds(function))
        for _ in watch.feed(Limits(lambda: "done")):
            pass
    return min(watched) / min(alone)


def main() -> None:
    everybody, nobody = Filters(), Filters(everything=True)
    straight = "; ".join(["r0 = 0", *["r0 += 1"] * 500, "exit"])
    with LoadWatch(0) as header_only, LoadWatch(1 << 18) as with_log:
        cases = (
            ("system calls of others (read and write of a byte)", bytes_copied(300_000), header_only, everybody),
            ("successful load of 2 instructions, --max-log 0", load(loads.FINE, 0, 500), header_only, everybody),
            ("successful load of 502 instructions, --max-log 0", load(straight, 0, 200), header_only, everybody),
            ("the same with --all", load(straight, 0, 200), header_only, nobody),
            ("failing load without a log", load(loads.REFUSED[0][0], 0, 500), with_log, everybody),
            ("failing load with a log", load(loads.REFUSED[0][0], 1, 500), with_log, everybody),
        )
        for name, function, watch, filters in cases:
            sys.stdout.write(f"{ratio(function, watch, filters):6.2f}  {name}\n")


if __name__ == "__main__":
    main()
