# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the User Mode Linux kernel with CHECK_FIELDS from Debian's linux-source: python -m tests.kernels.uml.build

It takes 180 MB of download, 2 GB of disk while it runs, and 3 to 10 minutes. The kernel stays in the lab's cache, and
nothing is done where it is there already.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cmp_to_key
from pathlib import Path

from kprobe_tool.errors import Error
from kprobe_tool.lab.archive import Archive, cache_directory
from kprobe_tool.lab.offers import Offer, by_version

HERE = Path(__file__).parent
PATCH = HERE / "check_fields.patch"
CONFIG = HERE / "config"

TOOLS = ("gcc", "make", "flex", "bison", "bc", "patch", "xz", "tar", "dpkg-deb")


def kernel() -> Path:
    """Where the kernel of this patch and this configuration is, or is going to be."""
    made_of = hashlib.sha256(PATCH.read_bytes() + CONFIG.read_bytes()).hexdigest()
    return cache_directory() / "uml" / f"linux-{made_of[:12]}"


class Sources(Archive):
    """The linux-source packages of the same archive that the lab's kernels come from."""

    def newest(self) -> tuple[str, str]:
        """The newest package: (name, version)."""
        with self.locked():
            self._offers()
            names = [
                name
                for name in self._apt_cache("pkgnames", "linux-source-").split()
                if re.fullmatch(r"linux-source-\d+\.\d+", name)
            ]
            if not names:
                raise Error("the mirror's package lists", "no linux-source in them")
            lines = [line.split("|") for line in self._apt_cache("madison", *names).splitlines()]
        offers = [Offer(line[0].strip(), line[1].strip(), "", ()) for line in lines if len(line) == 3]
        newest = max(offers, key=cmp_to_key(by_version))
        return newest.release, newest.version

    def download(self, package: str, version: str, directory: Path) -> Path:
        with self.locked():
            self._apt_get("download", f"{package}={version}", cwd=directory)
        return next(directory.glob("*.deb"))


def run(*argv: str, cwd: Path, **environment: str) -> None:
    print("+", *argv, file=sys.stderr)
    done = subprocess.run(argv, cwd=cwd, check=False, stdout=sys.stderr, env={**os.environ, **environment})
    if done.returncode != 0:
        raise Error(argv[0], f"exit status {done.returncode}")


def unpack(deb: Path, directory: Path) -> Path:
    """Unpack a package. Returns its source tree."""
    run("dpkg-deb", "-x", str(deb), str(directory), cwd=directory)
    deb.unlink()
    archive = next((directory / "usr/src").glob("linux-source-*.tar.xz"))
    run("tar", "-xJf", str(archive), cwd=directory)
    archive.unlink()
    return next(directory.glob("linux-source-*"))


def build(source: Path, out: Path) -> Path:
    """Build the kernel, a program of this machine's architecture. Returns where it is."""
    out.mkdir()
    run("patch", "-p1", "-i", str(PATCH), cwd=source)
    run("make", "-s", "ARCH=um", f"O={out}", "tinyconfig", cwd=source)
    tiny = out / "tiny.config"
    (out / ".config").rename(tiny)
    merge = source / "scripts/kconfig/merge_config.sh"
    run(str(merge), "-m", "-O", str(out), str(tiny), str(CONFIG), cwd=out, ARCH="um")
    run("make", "-s", "ARCH=um", "olddefconfig", cwd=out)
    missing = set(CONFIG.read_text().splitlines()) - set((out / ".config").read_text().splitlines())
    if lost := sorted(line for line in missing if line.startswith("CONFIG_")):
        raise Error("this kernel", f"it cannot have {', '.join(lost)}")
    run("make", "-s", "ARCH=um", "linux", cwd=out)
    return out / "linux"


def main() -> int:
    if kernel().exists():
        print(kernel())
        return 0
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    try:
        if lacking:
            raise Error(", ".join(lacking), "not installed")
        sources = Sources()
        package, version = sources.newest()
        print(f"{package} {version}", file=sys.stderr)
        target = kernel()
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".build-", dir=target.parent) as tmp:
            directory = Path(tmp)
            source = unpack(sources.download(package, version, directory), directory)
            shutil.copy2(build(source, directory / "out"), target.with_name("new"))
        for old in target.parent.glob("linux-*"):
            if old != target.with_name("new"):
                old.unlink()
        target.with_name("new").rename(target)
    except Error as error:
        print(f"uml: {error}", file=sys.stderr)
        return 1
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
