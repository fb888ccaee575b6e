# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache of kernels, with a mirror that lists more than it has."""

import contextlib
import json
import os
import re
import subprocess
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.lab.archive import Archive
from kprobe_tool.lab.offers import Kernel, Offer

from .recorded import archive, roles_served


class Mirror(Archive):
    """A mirror that lists the recorded archive and has the releases that match ``there``."""

    def __init__(self, cache: Path, offers: list[Offer], there: str = "") -> None:
        super().__init__(cache)
        self.apt.mkdir(parents=True, exist_ok=True)
        (self.apt / "offers.json").write_text(json.dumps([asdict(o) for o in offers]), encoding="utf-8")
        # Fresh by the clock that the test runs under, which need not be the kernel's.
        os.utime(self.apt / "offers.json", (time.time(), time.time()))
        self.there = there
        self.downloads: list[str] = []

    def _refresh(self, path: Path) -> None:
        raise Error("apt-get", "no route to host")

    def _unpack(self, offer: Offer, tmp: Path) -> None:
        self.downloads.append(offer.release)
        if not re.search(self.there or "$^", offer.release):
            raise Error("apt-get", "404 Not Found")
        (tmp / "kernel").mkdir()
        (tmp / "kernel/offer.json").write_text(json.dumps(asdict(offer)), encoding="utf-8")


def kernel_for(mirror: Archive, role: str) -> Kernel:
    (kernel,) = (k for k in mirror.kernels() if role in k.roles)
    return kernel


def test_the_next_best_kernel_serves_where_one_cannot_be_had(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, archive(), there=r"7\.3-amd64")
    newest = mirror.fetch_best(kernel_for(mirror, "newest"), taken=["7.2.12+deb13-amd64"])
    assert (newest.release, newest.roles) == ("7.3-amd64", ("newest",))
    assert newest.notes == ("7.3.4+deb13-amd64 could not be had (apt-get: 404 Not Found); this is the next best",)
    assert mirror.is_cached(newest)


def test_the_second_newest_of_a_series_is_tried_and_no_other_series(tmp_path: Path) -> None:
    """Suites go to the attic before their lists do: the second newest is tried, and no other series."""
    half = Mirror(tmp_path / "half", archive(), there=r"5\.10\.0-45")
    oldest = half.fetch_best(kernel_for(half, "newest-5.10"))
    assert (oldest.release, half.downloads) == ("5.10.0-45-amd64", ["5.10.0-46-amd64", "5.10.0-45-amd64"])
    assert oldest.notes == ("5.10.0-46-amd64 could not be had (apt-get: 404 Not Found); this is the next best",)
    none = Mirror(tmp_path / "none", archive(), there=r"6\.")
    with pytest.raises(Error, match="404 Not Found"):
        none.fetch_best(kernel_for(none, "newest-5.10"))
    assert none.downloads == ["5.10.0-46-amd64", "5.10.0-45-amd64"]


def test_without_a_network_the_cached_kernels_run(tmp_path: Path) -> None:
    cached = ["6.1.0-55-amd64", "6.12.43+deb12-amd64", "7.2.13+deb14-amd64"]
    before = Mirror(tmp_path, archive(), there=".")
    for offer in archive():
        if offer.release in cached:
            before.fetch(Kernel(offer.release, offer.version, offer.suite, ("none",)))
    # The lists are of yesterday, and nothing can be downloaded.
    now = Mirror(tmp_path, archive())
    os.utime(now.apt / "offers.json", (0, 0))
    kernels = now.kernels()
    assert now.problems == ["apt-get: no route to host"]
    assert {k.role: k.release for k in kernels}["newest-6.1"] == "6.1.0-56-amd64"
    got: dict[str, str] = {}
    for kernel in kernels:
        with contextlib.suppress(Error):
            got[kernel.role] = now.fetch_best(kernel, got.values()).release
    assert got == {
        "newest-6.1": "6.1.0-55-amd64",
        "unfixed-6.12": "6.12.43+deb12-amd64",
        "stable": "7.2.13+deb14-amd64",
    }
    # No lists at all.
    (now.apt / "offers.json").unlink()
    assert roles_served([*now.offers()]) == {
        "newest-5.10": "6.1.0-55",
        "newest-6.1": "6.1.0-55",
        "unfixed-6.12": "6.12.43+deb12",
        "stable": "7.2.13+deb14",
        "newest": "7.2.13+deb14",
    }
    assert all("chosen among the cached kernels only" in k.notes for k in now.kernels())


def test_a_kernel_outlives_its_package(tmp_path: Path) -> None:
    before = Mirror(tmp_path, archive(), there=".")
    before.fetch(kernel_for(before, "unfixed-6.12"))
    now = Mirror(tmp_path, archive(without=r"6\.12\.43"))
    assert kernel_for(now, "unfixed-6.12").release == "6.12.43+deb12-amd64"
    assert kernel_for(now, "unfixed-6.12").notes == ()
    assert now.fetch_best(kernel_for(now, "unfixed-6.12")).release == "6.12.43+deb12-amd64"
    assert now.downloads == []


class Sources(Archive):
    """A mirror that has the sources in these lines of `apt-cache madison`."""

    def __init__(self, cache: Path, madison: str) -> None:
        super().__init__(cache)
        self.apt.mkdir(parents=True, exist_ok=True)
        (self.apt / "offers.json").write_text("[]", encoding="utf-8")
        os.utime(self.apt / "offers.json", (time.time(), time.time()))
        self.madison = madison
        self.downloads: list[str] = []

    def _apt_cache(self, *args: str) -> str:
        names = sorted({line.split()[0] for line in self.madison.splitlines()})
        return "\n".join(names) if args[0] == "pkgnames" else self.madison

    def _apt_get(self, *args: str, cwd: Path | None = None) -> str:
        assert cwd is not None
        self.downloads.append(args[-1])
        package = cwd / "package"
        (package / "DEBIAN").mkdir(parents=True)
        (package / "DEBIAN/control").write_text(
            "Package: source\nVersion: 1\nArchitecture: all\nMaintainer: test\nDescription: test\n"
        )
        (package / "usr/src").mkdir(parents=True)
        (package / "usr/src" / args[-1].partition("=")[0]).touch()
        subprocess.run(["dpkg-deb", "-b", str(package), str(cwd / "source.deb")], check=True, capture_output=True)
        return ""


SOURCES = """\
linux-source | 7.3.4-1 | http://m/debian sid/main amd64 Packages
linux-source-6.12 | 6.12.117-1 | http://m/debian bookworm/main amd64 Packages
linux-source-7.3 | 7.3.4-1 | http://m/debian sid/main amd64 Packages
linux-source-7.3 | 7.3~rc7-1~exp1 | http://m/debian experimental/main amd64 Packages
"""


def test_the_newest_source_is_fetched_once(tmp_path: Path) -> None:
    mirror = Sources(tmp_path, SOURCES)
    version, directory = mirror.fetch_source()
    assert (version, [path.name for path in directory.glob("usr/src/*")]) == ("7.3.4-1", ["linux-source-7.3"])
    assert mirror.fetch_source() == (version, directory)
    assert mirror.downloads == ["linux-source-7.3=7.3.4-1"]
    # A newer one takes its place.
    newer = Sources(tmp_path, SOURCES + "linux-source-7.4 | 7.4~rc1-1~exp1 | http://m/debian experimental/main\n")
    assert newer.fetch_source()[0] == "7.4~rc1-1~exp1"
    assert [path.name for path in (tmp_path / "sources").iterdir()] == ["7.4~rc1-1~exp1"]


def test_a_mirror_without_a_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Error, match="no package has it"):
        Sources(tmp_path, "").fetch_source()


def test_what_a_killed_process_left_goes_with_the_next_download(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, archive(), there=".")
    (tmp_path / ".fetch-stale/unpacked").mkdir(parents=True)
    mirror.fetch(kernel_for(mirror, "newest"))
    assert list(tmp_path.glob(".fetch-*")) == []


class LeftMirror(Mirror):
    """A mirror whose download is abandoned halfway."""

    def _unpack(self, offer: Offer, tmp: Path) -> None:
        (tmp / "first.deb").write_bytes(b"x")
        self.abandon()
        self.downloads.append(offer.release)
        assert not tmp.exists()
        raise Error("apt-get", "its directory is gone")


def test_a_download_that_nobody_waits_for_leaves_nothing(tmp_path: Path) -> None:
    mirror = LeftMirror(tmp_path, archive())
    mirror.abandon()
    with pytest.raises(Error, match="its directory is gone"):
        mirror.fetch(kernel_for(mirror, "newest"))
    assert len(mirror.downloads) == 1
    assert list(tmp_path.glob(".fetch-*")) == []


def test_kernels_of_another_machine_are_neither_chosen_nor_removed(tmp_path: Path) -> None:
    other = tmp_path / "6.1.0-9-arm64/offer.json"
    other.parent.mkdir()
    offer = Offer("6.1.0-9-arm64", "6.1.9-1", "bookworm", ("linux-image-6.1.0-9-arm64",))
    other.write_text(json.dumps(asdict(offer)), encoding="utf-8")
    os.utime(other, (0, 0))
    mirror = Mirror(tmp_path, archive(), there=".")
    mirror.fetch(kernel_for(mirror, "newest"))
    assert other.exists()
    assert offer not in mirror.offers()
    assert Archive(tmp_path, "arm64").cached_offers() == [offer]
