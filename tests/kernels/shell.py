# SPDX-License-Identifier: GPL-2.0-or-later
"""A shell in a booted kernel: python -m tests.kernels.shell [--list | ROLE | RELEASE]"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from kprobe_tool.errors import Error
from kprobe_tool.lab import boot, userland
from kprobe_tool.lab.archive import Archive
from kprobe_tool.lab.machines import OWN, architecture_of
from kprobe_tool.lab.offers import Kernel
from kprobe_tool.lab.roles import OTHER_MACHINES, ROLES

ROOT = Path(__file__).parents[2]


def list_kernels(archive: Archive, kernels: list[Kernel]) -> None:
    why = {role.name: role.why for role in ROLES}
    for kernel in kernels:
        cached = "cached" if archive.is_cached(kernel) else "not downloaded yet"
        for role in kernel.roles:
            print(f"{role:16} {kernel.release}  ({kernel.version}, {kernel.suite}, {cached})")
            print(f"{'':16} {why[role]}")
        for note in kernel.notes:
            print(f"{'':16} note: {note}")
    for other in OTHER_MACHINES:
        print(f"{other.name:16} {other.why}")


def shell(archive: Archive, kernel: Kernel) -> int:
    print(f"{kernel.release}: log out (Ctrl-D) to power it off, Ctrl-a x to kill it", file=sys.stderr)
    archive.fetch(kernel)
    root = None if archive.architecture == OWN else userland.fetch(archive)
    image = boot.Image(kernel.release, archive.directory(kernel), root)
    _, python_path = boot.interpreter_in_guest(image)
    # In the cache, as all that a guest is given.
    with tempfile.TemporaryDirectory(prefix=".shell-", dir=archive.cache) as tmp:
        script = Path(tmp) / "guest.sh"
        script.write_text(
            boot.guest_script(
                image,
                ["bash", "-i"],
                cwd=ROOT,
                environment={"TERM": os.environ.get("TERM", "linux"), **python_path},
                directories=boot.needed_directories(ROOT),
                interactive=True,
            ),
            encoding="utf-8",
        )
        script.chmod(0o755)
        return subprocess.run(
            boot.virtme_run(image, script, interactive=True), env=boot.environment(), check=False
        ).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description="Drops you into a booted Debian kernel.")
    parser.add_argument("kernel", nargs="?", default="newest", help="a role or a release (default: newest)")
    parser.add_argument("--list", action="store_true", help="list the roles and what serves them")
    args = parser.parse_args()
    archive = Archive(architecture=architecture_of(args.kernel))
    try:
        if missing := boot.missing(archive.architecture):
            raise Error("not there", ", ".join(missing))
        kernels = archive.kernels()
        for problem in archive.problems:
            print(f"warning: {problem}", file=sys.stderr)
        if args.list:
            list_kernels(archive, kernels)
            return 0
        return shell(archive, archive.find(args.kernel))
    except Error as e:
        print(f"kernel lab: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
