"""What is read from apt, and which kernel is chosen from it."""

import contextlib
import json
import os
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from kprobe_tool.lab.packages import (
    Archive,
    Kernel,
    LabError,
    Offer,
    Source,
    choose_all,
    derive_mirror,
    machine_sources,
    parse_deb822,
    parse_madison,
    parse_one_line,
    render_sources,
    upstream,
)
from kprobe_tool.lab.roles import ROLES, SUITES

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

DEB822 = f"""\
Types: deb
# a comment does not end a stanza
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: {KEYRING}

Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 URIs: not-a-field
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example/debian
Suites: trixie
Components: main
"""


def test_deb822() -> None:
    sources = list(parse_deb822(DEB822))
    assert [(s.uri, s.suite) for s in sources] == [
        ("http://mirror.example/debian/", "bookworm"),
        ("http://mirror.example/debian/", "bookworm-updates"),
        ("http://mirror.example/debian-security", "bookworm-security"),
    ]
    assert sources[0].signed_by == KEYRING
    assert sources[2].components == ("main", "contrib")
    assert derive_mirror(sources).main == "http://mirror.example/debian"
    assert derive_mirror(sources).security == "http://mirror.example/debian-security"


def test_one_line() -> None:
    text = f"""\
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by={KEYRING}] http://mirror.example/debian trixie main contrib  # why not
deb-src http://mirror.example/debian trixie main
deb http://mirror.example/debian-security trixie-security main
"""
    assert list(parse_one_line(text)) == [
        Source("http://mirror.example/debian", "trixie", ("main", "contrib"), KEYRING),
        Source("http://mirror.example/debian-security", "trixie-security", ("main",), ""),
    ]


def test_third_parties_are_not_the_mirror() -> None:
    theirs = [
        Source("https://vendor.example/apt", "cloud-bookworm", ("main",), ""),
        Source("https://vendor.example/node", "nodistro", ("main",), "/usr/share/keyrings/vendor.gpg"),
        # Debian's codename, Debian's component, and even the end of the path.
        Source("https://vendor.example/apt", "bookworm", ("main",), ""),
        Source("https://vendor.example/linux/debian", "bookworm", ("stable",), ""),
        Source("https://vendor.example/linux/debian", "bookworm", ("main",), "/usr/share/keyrings/vendor.gpg"),
        Source("cdrom:[Debian]/debian", "bookworm", ("main",), ""),
    ]
    with pytest.raises(LabError, match="no Debian mirror"):
        derive_mirror(theirs)
    ours = Source("http://mirror.example/pub/debian", "bookworm", ("main",), "")
    assert derive_mirror([*theirs, ours]).main == "http://mirror.example/pub/debian"
    # Only the keyring tells.
    proxy = Source("http://proxy.example/cached", "bookworm", ("main",), KEYRING)
    assert derive_mirror([*theirs, proxy]).main == "http://proxy.example/cached"
    assert derive_mirror([*theirs, proxy]).security is None


def test_security_is_next_to_the_archive() -> None:
    ours = Source("http://mirror.example/debian", "bookworm", ("main",), "")
    assert derive_mirror([ours]).security == "http://mirror.example/debian-security"


def test_machine_sources(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.example/debian sid main\n")
    (parts / "debian.sources").write_text(DEB822)
    (parts / "vendor.list").write_text("deb https://vendor.example/apt vendor main\n")
    (parts / "vendor.list.save").write_text("deb https://saved.example/debian bookworm main\n")
    assert {s.uri for s in machine_sources(tmp_path)} == {
        "http://a.example/debian",
        "http://mirror.example/debian/",
        "http://mirror.example/debian-security",
        "https://vendor.example/apt",
    }


def test_rendered_sources_are_read_back() -> None:
    mirror = derive_mirror(parse_deb822(DEB822))
    sources = list(parse_deb822(render_sources(mirror)))
    assert [s.suite for s in sources] == list(SUITES)
    assert {s.uri for s in sources if s.suite == "bookworm-security"} == {mirror.security}
    assert all(s.signed_by == KEYRING for s in sources)


# Lines as apt-cache madison has them.
MADISON = """\
linux-image-6.1.0-47-amd64 |  6.1.170-3 | http://m/debian bookworm/main amd64 Packages
linux-image-6.1.0-56-amd64 |  6.1.192-2 | http://m/debian-security bookworm-security/main amd64 Packages
linux-image-6.1.0-9-amd64 |  6.1.9-1 | http://m/debian-security bookworm-security/main amd64 Packages
linux-image-6.1.0-56-cloud-amd64 |  6.1.192-2 | http://m/debian-security bookworm-security/main amd64 Packages
linux-image-6.1.0-56-rt-amd64 |  6.1.192-2 | http://m/debian-security bookworm-security/main amd64 Packages
linux-image-6.1.0-56-amd64-dbg |  6.1.192-2 | http://m/debian-security bookworm-security/main amd64 Packages
linux-image-6.1.0-56-amd64-unsigned |  6.1.192-2 | http://m/debian bookworm/main amd64 Packages
linux-image-6.12-amd64 | 6.12.117-1~deb12u1 | http://m/debian-security bookworm-security/main amd64 Packages
linux-image-6.12.43+deb12-amd64 | 6.12.43-1~bpo12+1 | http://m/debian bookworm-backports/main amd64 Packages
linux-image-6.12.57+deb12-amd64 | 6.12.57-1~bpo12+1 | http://m/debian bookworm-backports/main amd64 Packages
linux-image-6.12.90+deb12.1-amd64 | 6.12.90-2~bpo12+1 | http://m/debian bookworm-backports/main amd64 Packages
linux-image-6.12.117+deb12-amd64 | 6.12.117-1~deb12u1 | http://m/debian-security bookworm-security/main amd64 Packages
linux-binary-7.1.13+deb13-amd64 | 7.1.13-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
linux-image-7.1.13+deb13-amd64 | 7.1.13-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
linux-binary-7.2.9+deb13-amd64 | 7.2.9-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
linux-image-7.2.9+deb13-amd64 | 7.2.9-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
linux-modules-7.2.9+deb13-amd64 | 7.2.9-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
linux-binary-7.2.12+deb13-amd64 | 7.2.12-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
linux-image-7.2.12+deb13-amd64 | 7.2.12-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
linux-modules-7.2.12+deb13-amd64 | 7.2.12-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
linux-binary-7.3-amd64 | 7.3~rc7-1~exp1 | http://m/debian experimental/main amd64 Packages
linux-modules-7.3-amd64 | 7.3~rc7-1~exp1 | http://m/debian experimental/main amd64 Packages
linux-modules-7.3.4+deb13-amd64 | 7.3.4-1 | http://m/debian sid/main amd64 Packages
"""


@pytest.fixture
def offers() -> list[Offer]:
    return parse_madison(MADISON)


def test_madison(offers: list[Offer]) -> None:
    assert [o.release for o in offers] == [
        "6.1.0-47-amd64",
        "6.1.0-56-amd64",
        "6.1.0-9-amd64",
        "6.12.43+deb12-amd64",
        "6.12.57+deb12-amd64",
        "6.12.90+deb12.1-amd64",
        "6.12.117+deb12-amd64",
        "7.2.9+deb13-amd64",
        "7.2.12+deb13-amd64",
        "7.3-amd64",
    ]
    assert offers[-1].packages == ("linux-binary-7.3-amd64", "linux-modules-7.3-amd64")
    assert offers[1].suite == "bookworm-security"


def test_upstream() -> None:
    assert upstream("6.12.43-1~bpo12+1") == (6, 12, 43)
    assert upstream("7.3~rc7-1~exp1") == (7, 3)
    with pytest.raises(ValueError, match="not a kernel"):
        upstream("signed")


# --- what serves the roles ---------------------------------------------------------------------------------------

TODAY = (Path(__file__).parents[1] / "data/lab/madison-2026-11-21.txt").read_text(encoding="utf-8")
"""As `apt-cache madison` had it for all kernels of all suites on that day."""


def archive(without: str = "^$", more: str = "") -> list[Offer]:
    """The recorded archive without the lines that have this pattern, and with more of them."""
    lines = [line for line in TODAY.splitlines() if not re.search(without, line)]
    return parse_madison("\n".join(lines) + "\n" + more)


def served(offers: list[Offer]) -> dict[str, str]:
    """Role: release."""
    return {role: k.release.removesuffix("-amd64") for k in choose_all(offers) for role in k.roles}


def notes(offers: list[Offer]) -> str:
    return "\n".join(note for kernel in choose_all(offers) for note in kernel.notes)


def lines(package: str, version: str, suite: str) -> str:
    return "".join(
        f"linux-{part}-{package} | {version} | http://mirror.example/debian {suite}/main amd64 Packages\n"
        for part in ("binary", "image", "modules")
    )


def test_today() -> None:
    assert served(archive()) == {
        "newest-6.1": "6.1.0-56",
        "unfixed-6.12": "6.12.43+deb12",
        "stable": "7.2.12+deb13",
        "newest": "7.3.4+deb13",
    }
    assert notes(archive()) == ""


def test_yesterday() -> None:
    """7.3.4 was not there yet, so that 7.3-rc7 was the newest."""
    yesterday = archive(without=r"\b7\.3\.4")
    assert served(yesterday) == served(archive()) | {"newest": "7.3"}
    assert notes(yesterday) == ""


def test_pin_is_gone() -> None:
    gone = archive(without=r"6\.12\.43")
    assert served(gone) == served(archive()) | {"unfixed-6.12": "6.12.57+deb12"}
    assert "unfixed-6.12: 6.12.43+deb12-amd64 is gone" in notes(gone)


def test_a_candidate_appears() -> None:
    later = archive(
        more=lines("7.3.9+deb13-amd64", "7.3.9-1~bpo13+1", "trixie-backports")
        + lines("7.4-amd64", "7.4~rc2-1~exp1", "experimental")
    )
    assert served(later) == served(archive()) | {"stable": "7.3.9+deb13", "newest": "7.4"}
    assert notes(later) == ""


def test_the_candidate_is_released() -> None:
    later = archive(more=lines("7.4.1+deb14-amd64", "7.4.1-1", "sid"))
    assert served(later) == served(archive()) | {"stable": "7.3.4+deb13", "newest": "7.4.1+deb14"}


def test_a_major_version_later() -> None:
    later = archive(without="trixie-backports", more=lines("8.0.1+deb14-amd64", "8.0.1-1", "sid"))
    assert served(later) == served(archive()) | {"stable": "7.2.13+deb14", "newest": "8.0.1+deb14"}
    assert notes(later) == "stable: nothing in trixie-backports; taken from sid"


def test_a_suite_is_missing() -> None:
    assert served(archive(without="bookworm-security")) == served(archive()) | {"newest-6.1": "6.1.0-50"}
    missing = archive(without="bookworm")
    # What is nearest to 6.1 and 6.12 in trixie-backports and sid: one series, but not one kernel.
    assert served(missing) == {
        "newest-6.1": "6.16.12+deb13",
        "unfixed-6.12": "6.16.3+deb13",
        "stable": "7.2.12+deb13",
        "newest": "7.3.4+deb13",
    }
    assert "newest-6.1: no 6.1 offered any more; this is the nearest" in notes(missing)
    assert "unfixed-6.12: no 6.12 offered any more; this is the nearest" in notes(missing)


def test_half_synchronised() -> None:
    """A binary without its modules is no kernel."""
    half = archive(without=r"linux-modules-7\.3\.4")
    assert served(half) == served(archive()) | {"newest": "7.3"}


def test_the_only_kernel_of_a_series_is_for_who_asks_for_it() -> None:
    few = archive(without=r" 5\.10\.| 6\.1\.(?!192-2)| 6\.12\.| 6\.1[678]\.")
    assert served(few) == {
        "newest-6.1": "6.1.0-56",
        "unfixed-6.12": "7.2.6+deb13",
        "stable": "7.2.12+deb13",
        "newest": "7.3.4+deb13",
    }


def test_too_few_kernels_are_shared() -> None:
    (only,) = choose_all(archive(without=r"^(?!linux-image-6\.1\.0-56-amd64)"))
    assert only.roles == tuple(role.name for role in ROLES)
    assert not any(note.startswith("newest: ") for note in only.notes)
    assert "stable: nothing in trixie-backports; taken from bookworm-security; nothing else is left" in "\n".join(
        only.notes
    )


def test_nothing_offered() -> None:
    assert choose_all([]) == []


# --- the cache ---------------------------------------------------------------------------------------------------


class Mirror(Archive):
    """The recorded archive, whose packages are not all there."""

    def __init__(self, cache: Path, offers: list[Offer], there: str = "") -> None:
        super().__init__(cache)
        self.apt.mkdir(parents=True, exist_ok=True)
        (self.apt / "offers.json").write_text(json.dumps([asdict(o) for o in offers]), encoding="utf-8")
        self.there = there
        self.downloads: list[str] = []

    def _refresh(self, path: Path) -> None:
        raise LabError("no route to host")

    def _unpack(self, offer: Offer, tmp: Path) -> None:
        self.downloads.append(offer.release)
        if not re.search(self.there or "$^", offer.release):
            raise LabError("404 Not Found")
        (tmp / "kernel").mkdir()
        (tmp / "kernel/offer.json").write_text(json.dumps(asdict(offer)), encoding="utf-8")


def kernel_for(mirror: Archive, role: str) -> Kernel:
    (kernel,) = (k for k in mirror.kernels() if role in k.roles)
    return kernel


def test_what_the_mirror_lists_and_has_not(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, archive(), there=r"7\.3-amd64")
    newest = mirror.fetch_best(kernel_for(mirror, "newest"), taken=["7.2.12+deb13-amd64"])
    assert (newest.release, newest.roles) == ("7.3-amd64", ("newest",))
    assert newest.notes == ("7.3.4+deb13-amd64 could not be had (404 Not Found); this is the next best",)
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
    assert now.problems == ["no route to host"]
    assert {k.role: k.release for k in kernels}["newest-6.1"] == "6.1.0-56-amd64"
    got: dict[str, str] = {}
    for kernel in kernels:
        with contextlib.suppress(LabError):
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
