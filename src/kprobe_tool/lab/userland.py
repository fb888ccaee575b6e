# SPDX-License-Identifier: GPL-2.0-or-later
"""The root directory of a guest with another architecture than this machine's, made of Debian's packages.

They are unpacked and not installed: what their scripts would have made, and a guest needs, is made here. Nothing in
it is run on this machine.
"""

import hashlib
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kprobe_tool.errors import Error

if TYPE_CHECKING:
    from kprobe_tool.lab.archive import Archive

SUITE = "bookworm"
"""Of the packages, whatever this machine's suite is: pure Python of any later one runs on its Python, 3.11."""
PACKAGES = (
    "base-files",
    "bash",
    "bpftool",
    "busybox-static",
    "coreutils",
    "dash",
    "diffutils",
    "findutils",
    "gawk",
    "grep",
    "hostname",
    "iproute2",
    "kmod",
    "libc-bin",
    "login",
    "mount",
    "passwd",
    "procps",
    "python3",
    "python3-bpfcc",
    "python3-click",
    "python3-pyroute2",
    "python3-tabulate",
    "rdma-core",
    "sed",
    "strace",
    "tar",
    "udev",
    "util-linux",
)
MAX_AGE = 30 * 24 * 3600
"""Seconds after which newer packages are looked for."""

MERGED = ("bin", "lib", "sbin")
"""As on every Debian since bookworm: links to what is below /usr."""
LINKS = {"usr/bin/sh": "dash", "usr/bin/awk": "gawk", "usr/sbin/poweroff": "../bin/busybox"}
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/shadow": "",
    "etc/fstab": "",
    # For a shell: nothing has made what Debian's own refers to.
    "etc/pam.d/su": "auth sufficient pam_rootok.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
}
DIRECTORIES = ("dev", "etc", "mnt", "opt", "proc", "root", "run", "sys", "tmp", "var")


def fetch(archive: "Archive") -> Path:
    """The root directory for the architecture of ``archive``, downloaded and unpacked unless it is there already.

    Raises Error.
    """
    wanted = hashlib.sha256(repr((SUITE, PACKAGES, MERGED, LINKS, FILES, DIRECTORIES)).encode()).hexdigest()[:12]
    target = archive.cache / f"userland-{archive.architecture}-{wanted}"
    with archive.locked():
        if target.exists() and time.time() - target.stat().st_mtime < MAX_AGE:
            return target
        try:
            with archive.partial_directory() as temporary:
                root = temporary / "root"
                for package in archive.download_with_dependencies(SUITE, PACKAGES):
                    archive.unpack(package, root)
                complete(root)
                for old in archive.cache.glob(f"userland-{archive.architecture}-*"):
                    shutil.rmtree(old)
                root.rename(target)
        except Error:
            # What is old has to do where nothing can be had.
            if not target.exists():
                raise
    return target


def complete(root: Path) -> None:
    for name in DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in MERGED:
        shutil.copytree(root / name, root / "usr" / name, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(root / name)
        (root / name).symlink_to(f"usr/{name}")
    for name, to in LINKS.items():
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(to)
    for name, text in FILES.items():
        (root / name).write_text(text, encoding="utf-8")
    # The directory's own time says when it was made.
    root.touch()
