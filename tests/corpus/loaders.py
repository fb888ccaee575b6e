# SPDX-License-Identifier: GPL-2.0-or-later
"""Record what loaders print around a log, on the running kernel: python -m tests.corpus.loaders

libbpf by itself, bpftool, and bcc, each of a program that is rejected. Nothing is pinned: bpftool never gets to it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from kprobe_tool.native import libbpf
from kprobe_tool.native.bcc import SOURCES

from .objects import object_file

DIRECTORY = Path(__file__).parent / "surrounded"

BY_LIBBPF = {"index-off-by-one": "memory", "sample-not-submitted": "memory", "lock-left-on-one-path": "locks"}
BY_BPFTOOL = {"lookup-not-checked": "memory", "lock-taken-twice": "locks"}
"""bpftool loads all of an object, and the first of its programs is the one that fails."""

BCC = """
from bcc import BPF
BPF(text='''
BPF_HASH(seen, u64, u64);
int unchecked(struct pt_regs *ctx)
{
    u64 key = 0;
    u64 *value = seen.lookup(&key);
    return *value;
}
''', cflags=["-DMACHINE_x86_64", "-DPAGE_SIZE=4096", "-DLINUX_VERSION_CODE=0"]).load_func("unchecked", BPF.KPROBE)
"""
"""Without kernel headers, as kprobe_tool.native.bcc compiles."""


def output_of_libbpf(name: str, source: str) -> bytes:
    lib, path = libbpf.library(), str(object_file(source))
    with libbpf.messages() as printed, libbpf.open_object(path) as handle:
        for program in libbpf.each_program(handle):
            wanted = libbpf.describe(program).name == name.replace("-", "_")
            lib.bpf_program__set_autoload(program, wanted)
        lib.bpf_object__load(handle)
    return "".join(f"{line}\n" for line in printed).replace(path, f"{source}.bpf.o").encode()


def output_of_bpftool(source: str) -> bytes:
    path = object_file(source)
    argv = ["bpftool", "prog", "load", path.name, "/sys/fs/bpf/kprobe-tool-corpus"]
    done = subprocess.run(argv, cwd=path.parent, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode != 0
    return done.stdout


def output_of_bcc() -> bytes:
    """With the traceback that a script without more care ends with."""
    done = subprocess.run(
        ["/usr/bin/python3", "-c", BCC],
        env={**os.environ, "BCC_KERNEL_SOURCE": str(SOURCES)},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 1
    return done.stdout


def main() -> None:
    DIRECTORY.mkdir(exist_ok=True)
    found = {f"libbpf-{name}": (name, output_of_libbpf(name, source)) for name, source in BY_LIBBPF.items()}
    found |= {f"bpftool-{name}": (name, output_of_bpftool(source)) for name, source in BY_BPFTOOL.items()}
    found["bcc-lookup-not-checked"] = ("lookup-not-checked", output_of_bcc())
    index = {}
    for key, (program, text) in found.items():
        (DIRECTORY / f"{key}.txt").write_bytes(text)
        index[key] = {"program": program}
    (DIRECTORY / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    print(f"{len(index)} in {DIRECTORY}", file=sys.stderr)


if __name__ == "__main__":
    main()
