# SPDX-License-Identifier: GPL-2.0-or-later
"""A fixed number of mutated inputs for each target, and what became of them: python -m tests.fuzz --help."""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from .mutate import mutate
from .targets import PROC, Files, Target, targets

# linux/sched.h, sys/mount.h
CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18

SECONDS_MAX = 5.0
"""What one input may take of this process's time."""
PROGRESS = 10.0
"""Seconds between two lines about what has been done so far."""
WIDTHS = ("80", "")
"""COLUMNS of a terminal and of a pipe, where nothing is wrapped: one input has this, the next one that."""
FINDINGS_MAX = 20
KEPT = 200
"""Inputs of one target that others are made of, beside its seeds."""

libc = ctypes.CDLL(None, use_errno=True)


def check(done: int, what: str) -> None:
    if done:
        raise OSError(ctypes.get_errno(), what)


def mount(source: str, target: str, kind: bytes | None, flags: int) -> None:
    check(libc.mount(os.fsencode(source), os.fsencode(target), kind, ctypes.c_ulong(flags), None), f"mount {target}")


def cover_files(directory: Path) -> None:
    """Inputs in memory, and over each file of PROC one to write to; in a mount namespace that ends with us."""
    check(libc.unshare(CLONE_NEWNS), "unshare")
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", str(directory), b"tmpfs", 0)
    for number, path in enumerate(sorted({path for path, _ in PROC})):
        over = path.replace("/self/", f"/{os.getpid()}/")
        if os.path.exists(over):
            cover = directory / f"cover{number}"
            cover.write_bytes(b"")
            mount(str(cover), over, None, MS_BIND)


def run(target: Target, files: Files, inputs: int, seed: int, findings: Path, counts: Counter[str]) -> None:
    """Feed a target and count; what it raised beyond what it may is kept in a file of ``findings``."""
    chance = random.Random(f"{target.name} {seed}")
    pool = list(target.seeds)
    shown = time.monotonic()
    for number in range(inputs):
        if time.monotonic() > shown + PROGRESS:
            shown = time.monotonic()
            print(f"{target.name}: {number} of {inputs} inputs", file=sys.stderr, flush=True)
        os.environ["COLUMNS"] = WIDTHS[number % len(WIDTHS)]
        data = target.seeds[number] if number < len(target.seeds) else mutate(chance.choice(pool), pool, chance)
        began = time.process_time()
        try:
            target.feed(data, files)
            counts["accepted"] += 1
            if len(pool) < len(target.seeds) + KEPT:
                pool.append(data)
            elif chance.random() < 0.01:
                pool[chance.randrange(len(target.seeds), len(pool))] = data
        except target.refuses:
            counts["refused"] += 1
        except Exception:
            counts["wrong"] += 1
            if counts["wrong"] <= FINDINGS_MAX:
                keep(findings, target, number, data, traceback.format_exc())
        if time.process_time() - began > SECONDS_MAX:
            counts["slow"] += 1
            keep(findings, target, number, data, "slow\n")


def keep(findings: Path, target: Target, number: int, data: bytes, why: str) -> None:
    findings.mkdir(parents=True, exist_ok=True)
    path = findings / f"{target.name}-{number}"
    path.write_bytes(data)
    print(f"{target.name}: input {number}, kept as {path}\n{why}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help="those of targets.py; all without one")
    parser.add_argument("--inputs", type=int, default=100_000, help="in all, so that each target takes as long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, default=Path(".venv/fuzz"))
    options = parser.parse_args()
    every = targets()
    chosen = [target for target in every if not options.targets or target.name in options.targets]
    unknown = set(options.targets) - {target.name for target in every}
    if unknown or not chosen:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(each.name for each in every)}")
    findings = options.findings.absolute()
    directory = Path("/mnt")
    if os.geteuid() != 0:
        parser.error("mounting files over those of /proc needs root")
    cover_files(directory)
    total = sum(target.weight for target in chosen)
    failed = False
    for target in chosen:
        began = time.monotonic()
        counts: Counter[str] = Counter()
        share = max(options.inputs * target.weight // total, len(target.seeds))
        try:
            run(target, Files(directory), share, options.seed, findings, counts)
        finally:
            # Also of a run that is ended before its end.
            inputs = sum(counts[name] for name in ("accepted", "refused", "wrong"))
            shown = ", ".join(f"{counts[name]} {name}" for name in ("accepted", "refused", "wrong", "slow"))
            print(f"{target.name}: {inputs} inputs in {time.monotonic() - began:.0f} s: {shown}", flush=True)
        failed |= bool(counts["wrong"] or counts["slow"])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
