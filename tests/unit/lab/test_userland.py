# SPDX-License-Identifier: GPL-2.0-or-later
"""The root directory of a guest of another architecture, from packages that the test makes."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.lab import userland
from kprobe_tool.lab.archive import Archive


class Packages(Archive):
    """An archive with one package, a shell below /bin, as long as ``there`` is true."""

    def __init__(self, cache: Path) -> None:
        super().__init__(cache, "arm64")
        self.there = True
        self.downloads = 0

    def download_with_dependencies(self, suite: str, packages: Iterable[str]) -> list[Path]:
        if not self.there:
            raise Error("apt-get", "no route to host")
        assert suite == userland.SUITE and "python3-bpfcc" in packages
        self.downloads += 1
        return [Path("dash.deb")]

    def unpack(self, package: Path, directory: Path) -> None:
        for name in ("bin/dash", "lib/ld.so", "sbin/init", "usr/bin/env"):
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(package.stem, encoding="utf-8")
        (directory / "etc/pam.d").mkdir(parents=True)


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    return Packages(tmp_path)


def test_what_packages_put_beside_usr_is_below_it(packages: Packages) -> None:
    root = userland.fetch(packages)
    assert {name: os.readlink(root / name) for name in ("bin", "lib", "sbin")} == {
        "bin": "usr/bin",
        "lib": "usr/lib",
        "sbin": "usr/sbin",
    }
    assert (root / "bin/sh").read_text(encoding="utf-8") == "dash"
    assert (root / "usr/bin/env").is_file() and (root / "usr/lib/ld.so").is_file()
    assert "nobody:" in (root / "etc/passwd").read_text(encoding="utf-8")
    assert stat.S_ISDIR((root / "proc").stat().st_mode)


def test_a_root_directory_is_made_once(packages: Packages) -> None:
    assert userland.fetch(packages) == userland.fetch(packages)
    assert packages.downloads == 1


def test_an_old_root_directory_is_made_again_and_serves_where_nothing_can_be_had(packages: Packages) -> None:
    root = userland.fetch(packages)
    os.utime(root, (0, 0))
    packages.there = False
    assert userland.fetch(packages) == root
    packages.there = True
    assert userland.fetch(packages) == root and packages.downloads == 2
    assert root.stat().st_mtime > 0


def test_without_packages_there_is_no_root_directory(packages: Packages) -> None:
    packages.there = False
    with pytest.raises(Error, match="no route to host"):
        userland.fetch(packages)
    assert list(packages.cache.glob("userland-*")) == []
