# SPDX-License-Identifier: GPL-2.0-or-later
"""The C programs of the corpus, compiled by clang when first needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from ..skips import skip

SOURCES = Path(__file__).parent / "c"
BUILT = Path(__file__).parents[2] / "build" / "corpus"
FALLBACK = Path("/tmp/kprobe-tool-corpus")
"""Where the checkout cannot be written to, as in a guest."""


def sources() -> list[Path]:
    return sorted(SOURCES.glob("*.bpf.c"))


def compile_source(source: Path, target: Path) -> None:
    """clang sees a relative name, which is what the line info then holds."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = target.with_suffix(f".{os.getpid()}")
    argv = ["clang", "-g", "-O2", "-target", "bpf", "-mcpu=v3", "-Wall", "-c", source.name, "-o", str(made)]
    subprocess.run(argv, cwd=source.parent, check=True)
    made.rename(target)


def object_file(name: str) -> Path:
    """The object of c/NAME.bpf.c; skips the calling test without clang."""
    source = SOURCES / f"{name}.bpf.c"
    newest = max(path.stat().st_mtime for path in (source, SOURCES / "corpus.h"))
    for directory in (BUILT, FALLBACK):
        target = directory / f"{name}.bpf.o"
        if target.exists() and target.stat().st_mtime >= newest:
            return target
    if shutil.which("clang") is None:
        skip("clang is not installed")
    target = (BUILT if os.access(SOURCES, os.W_OK) else FALLBACK) / f"{name}.bpf.o"
    compile_source(source, target)
    return target


def build() -> None:
    """All of them, where there is a clang: before a guest boots, in which it is slow."""
    if shutil.which("clang") is None:
        return
    for source in sources():
        object_file(source.name.removesuffix(".bpf.c"))
