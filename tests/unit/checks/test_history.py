# SPDX-License-Identifier: GPL-2.0-or-later
"""Which releases have what: the table, and how it is read."""

import pytest

from kprobe_tool.checks import CHECKS, history
from kprobe_tool.checks.history import AFFECTED, KernelChange, is_news, parse
from tests.kernels.guest.test_audit import HERE


def test_every_check_has_its_verdicts() -> None:
    """What tests/kernels/guest compares is complete, and has nothing that no check answers to."""
    assert sorted([*AFFECTED, *HERE]) == sorted(check.id for check in CHECKS)


@pytest.mark.parametrize("change", {id(c): c for c in vars(history).values() if isinstance(c, KernelChange)}.values())
def test_releases_are_in_order(change: KernelChange) -> None:
    releases = [*map(parse, change.stable), parse(change.mainline)]
    assert releases == sorted(releases)
    assert all(len(release) == 3 for release in releases[:-1]) and len(releases[-1]) == 2
    assert len({release[:2] for release in releases}) == len(releases)


@pytest.mark.parametrize(
    ("release", "affected"),
    [("5.10.262", 1), ("6.1.188", 1), ("6.1.189", 0), ("6.12.43", 1), ("6.12.111", 0), ("6.18.1", 1), ("7.2", 0)],
)
def test_a_range_holds_the_releases_that_are_affected(release: str, affected: int) -> None:
    assert AFFECTED["rds-info-netns-leak"].includes(parse(release)) == bool(affected)


def test_what_came_with_a_release_ends_with_one() -> None:
    entry = AFFECTED["nvme-shortfall-oops"]
    assert [entry.includes(parse(release)) for release in ("4.19.1", "5.0.1", "5.1", "5.2", "7.2")] == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_no_release_has_a_fix() -> None:
    assert AFFECTED["rds-bind-netns"].includes(parse("9.9.9"))


@pytest.mark.parametrize(
    ("release", "news"), [("6.1.192", 0), ("6.1.9", 0), ("6.1.193", 1), ("6.5.1", 1), ("7.3", 0), ("7.4", 1)]
)
def test_a_release_newer_than_those_compared_is_news(release: str, news: int) -> None:
    assert is_news(parse(release)) == bool(news)


def test_releases_are_told_in_words() -> None:
    assert KernelChange("", "7.2").releases == "v7.2"
    assert KernelChange("", "7.2", ("6.1.3",)).releases == "v7.2; stable kernels from 6.1.3 on"
    assert KernelChange("", "7.2", ("6.1.3", "6.12.4", "7.1.5")).releases == (
        "v7.2; stable kernels from 6.1.3, 6.12.4 and 7.1.5 on"
    )
