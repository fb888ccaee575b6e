"""The cache, with a mirror that has not everything it lists."""

import contextlib
import json
import os
import re
from dataclasses import asdict
from pathlib import Path

from kprobe_tool.errors import Error
from kprobe_tool.lab.archive import Archive
from kprobe_tool.lab.offers import Kernel, Offer

from .recorded import archive, served


class Mirror(Archive):
    """The recorded archive, whose packages are not all there."""

    def __init__(self, cache: Path, offers: list[Offer], there: str = "") -> None:
        super().__init__(cache)
        self.apt.mkdir(parents=True, exist_ok=True)
        (self.apt / "offers.json").write_text(json.dumps([asdict(o) for o in offers]), encoding="utf-8")
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


def test_what_the_mirror_lists_and_has_not(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, archive(), there=r"7\.3-amd64")
    newest = mirror.fetch_best(kernel_for(mirror, "newest"), taken=["7.2.12+deb13-amd64"])
    assert (newest.release, newest.roles) == ("7.3-amd64", ("newest",))
    assert newest.notes == ("7.3.4+deb13-amd64 could not be had (apt-get: 404 Not Found); this is the next best",)
    assert mirror.is_cached(newest)


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
    assert served([*now.offers()]) == {
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
