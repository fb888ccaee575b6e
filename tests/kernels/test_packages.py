"""What is read from apt, and which kernel is chosen from it."""

from dataclasses import replace
from pathlib import Path

import pytest

from .packages import (
    LabError,
    Offer,
    Source,
    choose,
    choose_all,
    derive_mirror,
    machine_sources,
    parse_deb822,
    parse_madison,
    parse_one_line,
    render_sources,
    upstream,
)
from .roles import ROLES, SUITES

ROLE = {role.name: role for role in ROLES}
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


def test_every_role_is_served(offers: list[Offer]) -> None:
    assert [(k.role, k.release, k.notes) for k in choose_all(offers)] == [
        ("newest-6.1", "6.1.0-56-amd64", ()),
        ("unfixed-6.12", "6.12.43+deb12-amd64", ()),
        ("newest-stable-7", "7.2.12+deb13-amd64", ()),
        ("newest", "7.3-amd64", ()),
    ]


def test_pin_is_gone(offers: list[Offer]) -> None:
    choice = choose(ROLE["unfixed-6.12"], [o for o in offers if o.release != "6.12.43+deb12-amd64"])
    assert choice is not None
    assert choice[0].release == "6.12.57+deb12-amd64"
    assert choice[1] is not None and "6.12.43+deb12-amd64 is gone" in choice[1]


def test_other_suite(offers: list[Offer]) -> None:
    moved = [replace(o, suite="sid") for o in offers]
    choice = choose(ROLE["newest-stable-7"], moved)
    assert choice is not None
    assert choice[0].release == "7.2.12+deb13-amd64"
    assert choice[1] == "nothing in trixie-backports; taken from sid"


def test_nearest_series(offers: list[Offer]) -> None:
    choice = choose(ROLE["newest-6.1"], [o for o in offers if upstream(o.version)[:2] != (6, 1)])
    assert choice is not None
    assert choice[0].release == "6.12.117+deb12-amd64"
    assert choice[1] == "no 6.1 offered any more; this is the nearest"


def test_one_kernel_for_two_roles(offers: list[Offer]) -> None:
    last = choose_all([o for o in offers if o.release != "7.3-amd64"])[-1]
    assert last.release == "7.2.12+deb13-amd64"
    assert last.roles == ("newest-stable-7", "newest")


def test_nothing_offered() -> None:
    assert choose_all([]) == []
