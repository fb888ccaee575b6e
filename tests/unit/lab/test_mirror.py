# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian mirror, by apt's sources."""

from pathlib import Path

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.lab.mirror import (
    AptSource,
    derive_mirror,
    machine_sources,
    parse_deb822,
    parse_one_line,
    render_sources,
)
from kprobe_tool.lab.roles import SUITES

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


def test_stanzas_of_deb822_are_read() -> None:
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


def test_sources_of_one_line_are_read() -> None:
    text = f"""\
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by={KEYRING}] http://mirror.example/debian trixie main contrib  # why not
deb-src http://mirror.example/debian trixie main
deb http://mirror.example/debian-security trixie-security main
"""
    assert list(parse_one_line(text)) == [
        AptSource("http://mirror.example/debian", "trixie", ("main", "contrib"), KEYRING),
        AptSource("http://mirror.example/debian-security", "trixie-security", ("main",), ""),
    ]


def test_third_parties_are_not_the_mirror() -> None:
    theirs = [
        AptSource("https://vendor.example/apt", "cloud-bookworm", ("main",), ""),
        AptSource("https://vendor.example/node", "nodistro", ("main",), "/usr/share/keyrings/vendor.gpg"),
        # Debian's codename, Debian's component, and even the end of the path.
        AptSource("https://vendor.example/apt", "bookworm", ("main",), ""),
        AptSource("https://vendor.example/linux/debian", "bookworm", ("stable",), ""),
        AptSource("https://vendor.example/linux/debian", "bookworm", ("main",), "/usr/share/keyrings/vendor.gpg"),
        AptSource("cdrom:[Debian]/debian", "bookworm", ("main",), ""),
    ]
    with pytest.raises(Error, match="no Debian mirror"):
        derive_mirror(theirs)
    ours = AptSource("http://mirror.example/pub/debian", "bookworm", ("main",), "")
    assert derive_mirror([*theirs, ours]).main == "http://mirror.example/pub/debian"
    # Only the keyring tells.
    proxy = AptSource("http://proxy.example/cached", "bookworm", ("main",), KEYRING)
    assert derive_mirror([*theirs, proxy]).main == "http://proxy.example/cached"
    assert derive_mirror([*theirs, proxy]).security is None


def test_security_is_next_to_the_archive() -> None:
    ours = AptSource("http://mirror.example/debian", "bookworm", ("main",), "")
    assert derive_mirror([ours]).security == "http://mirror.example/debian-security"


def test_the_machine_s_sources_are_those_that_apt_reads(tmp_path: Path) -> None:
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
