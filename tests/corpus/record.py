# SPDX-License-Identifier: GPL-2.0-or-later
"""Record what kernels say about the corpus: tests.corpus.record [--lab RELEASE... | --unpacked DIR VERSION]

Of the running kernel, or of kernels that are booted in QEMU and record themselves: releases that the lab can have, or
that of a package that was unpacked into a directory, whose version is told.
"""

from __future__ import annotations

import argparse
import base64
import json
import lzma
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kprobe_tool.errors import errno_name
from kprobe_tool.lab import boot
from kprobe_tool.lab.archive import Archive
from kprobe_tool.lab.offers import Kernel
from kprobe_tool.native import bpf

from . import LEVEL2, LOGS, NOT_ASKED, STATS, TRUNCATED, TRUNCATED_SIZE, objects, short_release
from .kernel import Absent, KernelAnswer, Symbols, build, load, may_load, symbols
from .programs import PROGRAMS, Program

ROOT = Path(__file__).parents[2]
CHANNEL = 3
LARGE = 64 << 10
"""A log above this is stored compressed."""
LARGEST = 16 << 20
"""One above this is not stored: what it shows is shown by the smaller ones."""

Record = dict[str, Any]


def record_of(name: str, level: int, verdict: KernelAnswer) -> Record:
    answer = verdict.answer
    return {
        "name": name,
        "level": level,
        "errno": errno_name(answer.errno) if answer.errno else None,
        "log_true_size": answer.log_true_size,
        "has_native": b"\nVerification failed: " in b"\n" + answer.log,
        "insn_count": verdict.insn_count,
        "log": base64.b64encode(answer.log).decode() if len(answer.log) <= LARGEST else None,
    }


def record_one(program: Program, kernel_symbols: Symbols) -> Iterator[Record]:
    yield record_of(program.name, 1, load(program, kernel_symbols, 1))
    if program.name in LEVEL2:
        yield record_of(f"{program.name}.level2", 2, load(program, kernel_symbols, 2))
    if program.name in STATS:
        yield record_of(f"{program.name}.stats", 4, load(program, kernel_symbols, 4))
        yield record_of(f"{program.name}.stats2", 6, load(program, kernel_symbols, 6))
    if program.name in TRUNCATED:
        raw = build(program, kernel_symbols)
        verdict = KernelAnswer(bpf.load_once(raw, 1, TRUNCATED_SIZE), len(raw.insns) // 8)
        yield {**record_of(f"{program.name}.truncated", 1, verdict), "log_size": TRUNCATED_SIZE}


def record_all(names: Iterable[str] = ()) -> Iterator[Record]:
    """What the running kernel says about each program."""
    wanted = set(names)
    with symbols() as kernel_symbols:
        for program in PROGRAMS:
            if wanted and program.name not in wanted:
                continue
            if not may_load(program.who):
                yield {"name": program.name, "absent": "kernel.unprivileged_bpf_disabled is not 0"}
                continue
            try:
                yield from record_one(program, kernel_symbols)
            except Absent as reason:
                yield {"name": program.name, "absent": str(reason).replace(f"{ROOT}/", "")}


def store(release: str, found: Sequence[Record], *, all_of_them: bool) -> None:
    directory = LOGS / release
    index: dict[str, Any] = {}
    if all_of_them:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        if not directory.is_dir():
            raise SystemExit(f"{release} has no logs yet: record it whole, without a name of a program")
        index = json.loads((directory / "index.json").read_text())
    directory.mkdir(parents=True, exist_ok=True)
    for record in found:
        name = record.pop("name")
        if "absent" in record:
            index[name] = record
            continue
        stored = record.pop("log")
        index[name] = record
        path = directory / f"{name}.txt"
        for old in (path, path.with_suffix(".txt.xz")):
            old.unlink(missing_ok=True)
        if stored is None:
            continue
        log = base64.b64decode(stored)
        if len(log) > LARGE:
            path.with_suffix(".txt.xz").write_bytes(lzma.compress(log, preset=9))
        else:
            path.write_bytes(log)
    write_index(directory, index)
    print(f"{release}: {len(index)} records in {directory}", file=sys.stderr)


def write_index(directory: Path, index: Record) -> None:
    text = json.dumps(dict(sorted(index.items())), indent=1)
    (directory / "index.json").write_text(text + "\n", encoding="utf-8")


def mark_not_asked() -> None:
    """Say in each index which programs nobody has asked that release about, and print them."""
    for directory in sorted(LOGS.iterdir()):
        index = json.loads((directory / "index.json").read_text(encoding="utf-8"))
        for program in PROGRAMS:
            index.setdefault(program.name, {"absent": NOT_ASKED})
        missing = [name for name, record in index.items() if record.get("absent") == NOT_ASKED]
        if missing:
            print(f"{directory.name}: not asked about {', '.join(missing)}", file=sys.stderr)
        write_index(directory, index)


def record_in_guest() -> None:
    """The guest's side: unprivileged loads are allowed, and each record goes to the host at once."""
    Path("/proc/sys/kernel/unprivileged_bpf_disabled").write_text("0")
    with open(CHANNEL, "w", encoding="utf-8") as channel:
        for record in record_all(os.environ.get("CORPUS_NAMES", "").split()):
            print(json.dumps(record), file=channel, flush=True)
        print(json.dumps({"done": True}), file=channel, flush=True)


def image_of_release(archive: Archive, release: str) -> tuple[boot.Image, str]:
    """A kernel that the archive or the cache has: those that serve a role come and go, what was recorded stays."""
    offers = {short_release(offer.release, offer.version): offer for offer in archive.offers()}
    if release not in offers:
        raise SystemExit(
            f"the lab cannot have {release}, but {', '.join(sorted(offers))}; see tests/corpus/README.md"
        )
    offer = offers[release]
    kernel = Kernel(offer.release, offer.version, offer.suite, (), ())
    archive.fetch(kernel)
    return boot.Image(kernel.release, archive.directory(kernel)), kernel.version


def image_of_directory(directory: Path) -> boot.Image:
    """The one kernel below a directory, which the guest must be able to see."""
    (modules,) = (directory / "lib/modules").iterdir()
    subprocess.run(["depmod", "-b", str(directory), modules.name], check=True)
    return boot.Image(modules.name, directory)


def boot_and_record(image: boot.Image, version: str, cache: Path, names: list[str]) -> None:
    objects.build()
    found: list[Record] = []

    def take_line(raw: bytes) -> None:
        found.append(json.loads(raw))

    # In the cache, as all that a guest is given.
    with tempfile.TemporaryDirectory(prefix=".corpus-", dir=cache) as tmp:
        script, console = Path(tmp) / "guest.sh", Path(tmp) / "console.log"
        script.write_text(
            boot.guest_script(
                image,
                [sys.executable, "-m", "tests.corpus.record", "--guest"],
                cwd=ROOT,
                environment={"CORPUS_NAMES": " ".join(names)},
                directories=boot.needed_directories(ROOT),
            ),
            encoding="utf-8",
        )
        ending = boot.run(boot.virtme_run(image, script), console, take_line, threading.Event())
        if {"done": True} not in found:
            print(*found[-1:], file=sys.stderr)
            print(console.read_text(errors="replace")[-3000:], file=sys.stderr)
            raise SystemExit(f"{image.release}: {ending.hung or 'the guest ended early'}")
    recorded = [record for record in found if "name" in record]
    store(short_release(image.release, version), recorded, all_of_them=not names)


def main() -> None:
    parser = argparse.ArgumentParser(description="Records what kernels say about the corpus.")
    parser.add_argument("--lab", nargs="+", default=[], metavar="RELEASE", help="boot these, such as 6.1.192")
    parser.add_argument("--unpacked", nargs=2, metavar=("DIR", "VERSION"), help="boot the kernel below DIR")
    parser.add_argument("--guest", action="store_true", help="(the guest's side)")
    parser.add_argument("names", nargs="*", help="only these programs")
    args = parser.parse_args()
    if args.guest:
        record_in_guest()
        return
    if args.unpacked:
        directory, version = Path(args.unpacked[0]).resolve(), args.unpacked[1]
        boot_and_record(image_of_directory(directory), version, directory, args.names)
    elif args.lab:
        archive = Archive()
        for release in args.lab:
            boot_and_record(*image_of_release(archive, release), archive.cache, args.names)
    else:
        store(short_release(platform.release(), ""), [*record_all(args.names)], all_of_them=not args.names)
    mark_not_asked()


if __name__ == "__main__":
    main()
