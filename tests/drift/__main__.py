# SPDX-License-Identifier: GPL-2.0-or-later
"""python -m tests.drift: what the newest kernel that Debian has changes under this tool.

Prints a line for each change, and exits with 1 if there is one.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from kprobe_tool.errors import Error
from kprobe_tool.lab.archive import Archive

from .flags import unknown_flags
from .formats import read_without_row, unknown_formats
from .selftests import SELFTEST_DIRECTORIES, read_no_reasons, share_with_row
from .types import changed_types, write_types

PARTS = ("include/uapi/linux", "kernel/bpf", "net/core/filter.c", "net/ipv4/bpf_tcp_ca.c", *SELFTEST_DIRECTORIES)
"""The parts of a kernel's source that are read."""


def unpack_source(package: Path, directory: Path) -> Path:
    """Unpack the parts that are read of a package's source. Returns where they are."""
    (archive,) = package.glob("usr/src/linux-source-*.tar.xz")
    root = archive.name.removesuffix(".tar.xz")
    parts = [f"{root}/{part}" for part in PARTS]
    subprocess.run(["tar", "-xJf", str(archive), "-C", str(directory), *parts], check=True)
    return directory / root


def main() -> int:
    archive = Archive()
    (newest,) = (kernel for kernel in archive.kernels() if "newest" in kernel.roles)
    kernel = archive.fetch_best(newest)
    version, package = archive.fetch_source()
    print(f"source {version}, types of {kernel.release} ({kernel.version})", flush=True)
    with tempfile.TemporaryDirectory() as tmp:
        source = unpack_source(package, Path(tmp))
        changes = [*unknown_formats(source, read_without_row()), *unknown_flags(source)]
        share = share_with_row(source, read_no_reasons())
        print(f"selftests: {share}", flush=True)
        changes += (f"{one.place}: no row of the messages has: {one.text}" for one in share.unknown)
        types = Path(tmp, "types")
        types.mkdir()
        write_types(archive.image(kernel), archive.directory(kernel) / "lib/modules", types)
        changes += changed_types(types)
    for line in changes:
        print(line)
    print(f"{len(changes)} {'change' if len(changes) == 1 else 'changes'} under this tool")
    return 1 if changes else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Error as e:
        sys.exit(f"drift: {e}")
