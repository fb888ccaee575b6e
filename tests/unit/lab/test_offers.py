# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel that is chosen for each role, from the archive as it was recorded and as it may become."""

import pytest

from kprobe_tool.lab.machines import architecture_of
from kprobe_tool.lab.offers import Offer, choose_all, parse_madison, upstream
from kprobe_tool.lab.roles import OTHER_MACHINES, ROLES

from .recorded import ARM64, archive, join_notes, madison_lines, roles_served

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


def test_images_of_this_machine_are_offers(offers: list[Offer]) -> None:
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


@pytest.mark.parametrize("name", ["arm64", "s390x"])
def test_another_machine_has_a_role_of_its_own(name: str) -> None:
    offers = parse_madison(MADISON.replace("amd64", name))
    (role,) = (role for role in OTHER_MACHINES if role.architecture == name)
    (kernel,) = choose_all(offers, roles=[role])
    assert (kernel.release, kernel.role) == (f"6.1.0-56-{name}", name)


def test_upstream_s_version_is_read_from_debian_s() -> None:
    assert upstream("6.12.43-1~bpo12+1") == (6, 12, 43)
    assert upstream("7.3~rc7-1~exp1") == (7, 3)
    with pytest.raises(ValueError, match="not a kernel"):
        upstream("signed")


def test_each_role_is_served_today() -> None:
    assert roles_served(archive()) == {
        "newest-5.10": "5.10.0-46",
        "newest-6.1": "6.1.0-56",
        "unfixed-6.12": "6.12.43+deb12",
        "stable": "7.2.12+deb13",
        "newest": "7.3.4+deb13",
    }
    assert join_notes(archive()) == ""


def test_a_release_candidate_serves_while_there_is_no_release() -> None:
    """7.3.4 was not there yet, so that 7.3-rc7 was the newest."""
    yesterday = archive(without=r"\b7\.3\.4")
    assert roles_served(yesterday) == roles_served(archive()) | {"newest": "7.3"}
    assert join_notes(yesterday) == ""


def test_a_pinned_release_that_is_gone_is_replaced_by_the_next() -> None:
    gone = archive(without=r"6\.12\.43")
    assert roles_served(gone) == roles_served(archive()) | {"unfixed-6.12": "6.12.57+deb12"}
    assert "unfixed-6.12: 6.12.43+deb12 is gone" in join_notes(gone)


def test_the_oldest_series_is_gone() -> None:
    """Suites of releases that nobody mends any more leave the mirrors."""
    for gone in (archive(without="bullseye"), archive(without=r" 5\.10\.")):
        assert roles_served(gone) == roles_served(archive()) | {"newest-5.10": "6.1.0-55"}
        assert join_notes(gone) == "newest-5.10: no 5.10 offered any more; this is the nearest"
    # What was released with bullseye itself is there for longer than what was mended since.
    assert roles_served(archive(without="bullseye-security")) == roles_served(archive()) | {
        "newest-5.10": "5.10.0-32"
    }


def test_a_candidate_appears() -> None:
    later = archive(
        more=madison_lines("7.3.9+deb13-amd64", "7.3.9-1~bpo13+1", "trixie-backports")
        + madison_lines("7.4-amd64", "7.4~rc2-1~exp1", "experimental")
    )
    assert roles_served(later) == roles_served(archive()) | {"stable": "7.3.9+deb13", "newest": "7.4"}
    assert join_notes(later) == ""


def test_a_release_takes_the_place_of_its_candidate() -> None:
    later = archive(more=madison_lines("7.4.1+deb14-amd64", "7.4.1-1", "sid"))
    assert roles_served(later) == roles_served(archive()) | {"stable": "7.3.4+deb13", "newest": "7.4.1+deb14"}


def test_roles_are_served_in_the_next_major_version() -> None:
    later = archive(without="trixie-backports", more=madison_lines("8.0.1+deb14-amd64", "8.0.1-1", "sid"))
    assert roles_served(later) == roles_served(archive()) | {"stable": "7.2.13+deb14", "newest": "8.0.1+deb14"}
    assert join_notes(later) == "stable: nothing in trixie-backports; taken from sid"


def test_an_arm64_has_the_same_kernels() -> None:
    assert roles_served(ARM64) == roles_served(archive())
    assert join_notes(ARM64) == ""
    assert {architecture_of(offer.release) for offer in ARM64} == {"arm64"}


def test_a_role_of_a_missing_suite_has_the_nearest_kernel() -> None:
    assert roles_served(archive(without="bookworm-security")) == roles_served(archive()) | {"newest-6.1": "6.1.0-50"}
    missing = archive(without="bookworm")
    # What is nearest to 6.1 and 6.12 in trixie-backports and sid: one series, but not one kernel.
    assert roles_served(missing) == {
        "newest-5.10": "5.10.0-46",
        "newest-6.1": "6.16.12+deb13",
        "unfixed-6.12": "6.16.3+deb13",
        "stable": "7.2.12+deb13",
        "newest": "7.3.4+deb13",
    }
    assert "newest-6.1: no 6.1 offered any more; this is the nearest" in join_notes(missing)
    assert "unfixed-6.12: no 6.12 offered any more; this is the nearest" in join_notes(missing)


def test_a_half_synchronised_kernel_is_not_chosen() -> None:
    """A binary without its modules is no kernel."""
    half = archive(without=r"linux-modules-7\.3\.4")
    assert roles_served(half) == roles_served(archive()) | {"newest": "7.3"}


def test_the_only_kernel_of_a_series_is_for_the_role_that_names_it() -> None:
    few = archive(without=r" 5\.10\.| 6\.1\.(?!192-2)| 6\.12\.| 6\.1[678]\.")
    assert roles_served(few) == {
        "newest-5.10": "7.2.13+deb14",
        "newest-6.1": "6.1.0-56",
        "unfixed-6.12": "7.2.6+deb13",
        "stable": "7.2.12+deb13",
        "newest": "7.3.4+deb13",
    }


def test_a_role_of_a_series_that_is_gone_has_the_nearest_kernel() -> None:
    gone = archive(without=r" 6\.1\.")
    # The oldest 6.12 is for the role that names it.
    assert roles_served(gone) == roles_served(archive()) | {"newest-6.1": "6.12.117+deb12"}
    assert join_notes(gone) == "newest-6.1: no 6.1 offered any more; this is the nearest"


def test_too_few_kernels_are_shared() -> None:
    (only,) = choose_all(archive(without=r"^(?!linux-image-6\.1\.0-56-amd64)"))
    assert set(only.roles) == {role.name for role in ROLES}
    assert only.role == "newest"
    assert not any(note.startswith("newest: ") for note in only.notes)
    assert "stable: nothing in trixie-backports; taken from bookworm-security; nothing else is left" in "\n".join(
        only.notes
    )


def test_without_offers_there_are_no_kernels() -> None:
    assert choose_all([]) == []
