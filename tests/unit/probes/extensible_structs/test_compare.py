# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers against the release, against what is required, against another host's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kprobe_tool.probes.extensible_structs import compare
from kprobe_tool.probes.extensible_structs.model import (
    CheckFields,
    FieldReport,
    FlagReport,
    FlagResult,
    ProbeMethod,
    Reachability,
    Size,
    Support,
    SyscallReport,
)


def flag(
    name: str,
    since: str | None,
    accepted: Support,
    in_mask: Support = Support.UNKNOWN,
    *,
    always_refused: bool = False,
) -> FlagReport:
    return FlagReport(name, 1, since, FlagResult(accepted, ProbeMethod.PROBE, in_mask=in_mask), always_refused)


def report(*flags: FlagReport, reachable: Reachability = Reachability.YES) -> SyscallReport:
    fields = (
        FieldReport("flags", 0, 8, "5.6", Support.YES, 1, ProbeMethod.PROBE, None, flags),
        FieldReport("late", 24, 8, "7.9", Support.NO, None, None, None),
    )
    return SyscallReport(
        syscall="openat2",
        struct="open_how",
        since="5.6",
        reachable=reachable,
        reachable_errno=22,
        check_fields=CheckFields.NO,
        check_fields_errno=7,
        size=Size(24, ProbeMethod.E2BIG),
        size_check_fields=None,
        size_btf=None,
        calls=1,
        fields=fields,
    )


OLD = flag("OLD", "5.6", Support.YES)
NEW = flag("NEW", "7.2", Support.YES)
NO_NEW = flag("NEW", "7.2", Support.NO)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("6.12.43+deb12-amd64", (6, 12, 43)), ("7.3-rc7", (7, 3)), ("6.1", (6, 1)), ("strange", ())],
)
def test_version(text: str, numbers: compare.Version) -> None:
    assert compare.version(text) == numbers


@pytest.mark.parametrize(
    ("flags", "release", "said"),
    [
        ((OLD, NO_NEW), "6.1.192", "6.1 with features up to 5.6"),
        ((OLD, NEW), "6.1.192", "6.1 with features up to 7.2: backports"),
        ((OLD, NEW), "7.2.12+deb13-amd64", "7.2 with features up to 7.2"),
        ((OLD, NO_NEW), "7.3-rc7", "7.3 without some of its features: openat2.flags.NEW"),
        ((flag("OLD", "5.6", Support.UNKNOWN),), "6.1", "6.1, and no flag tells its level"),
        ((OLD, flag("NEVER", "5.6", Support.NO, always_refused=True)), "6.1", "6.1 with features up to 5.6"),
        ((OLD, flag("CONFIG", "5.6", Support.NO, Support.YES)), "6.1", "6.1 with features up to 5.6"),
        ((OLD, flag("bit 40", None, Support.YES)), "6.1", "6.1 with features up to 5.6"),
        ((OLD, flag("PASSES", "7.2", Support.IGNORED)), "6.1", "6.1 with features up to 5.6"),
    ],
)
def test_level(flags: tuple[FlagReport, ...], release: str, said: str) -> None:
    assert str(compare.level([report(*flags)], release)) == said


@pytest.mark.parametrize(
    ("one", "taken"),
    [
        (OLD, Support.YES),
        (NO_NEW, Support.NO),
        (flag("F", "7.2", Support.IGNORED), Support.IGNORED),
        (flag("F", "7.2", Support.NO, Support.YES), Support.NO),
        (flag("F", "7.2", Support.UNKNOWN, Support.YES), Support.YES),
        (flag("F", "7.2", Support.UNKNOWN, Support.YES, always_refused=True), Support.UNKNOWN),
        (flag("F", "7.2", Support.UNKNOWN, Support.NO), Support.NO),
        (flag("F", "7.2", Support.UNKNOWN), Support.UNKNOWN),
    ],
)
def test_require_flag(one: FlagReport, taken: Support) -> None:
    assert compare.require(report(one), one.name).taken is taken
    assert compare.require(report(one), f"flags.{one.name}").taken is taken
    blocked = report(one, reachable=Reachability.BLOCKED)
    assert compare.require(blocked, one.name).taken is Support.UNKNOWN


def test_require_field() -> None:
    assert compare.require(report(OLD), "flags").taken is Support.YES
    assert compare.require(report(OLD), "late").taken is Support.NO
    for reachable in Reachability:
        with pytest.raises(KeyError):
            compare.require(report(OLD, reachable=reachable), "nonsense")


@pytest.mark.parametrize(
    ("taken", "result"),
    [
        ([Support.YES, Support.YES], Support.YES),
        ([Support.YES, Support.UNKNOWN], Support.UNKNOWN),
        ([Support.UNKNOWN, Support.NO], Support.NO),
        ([Support.YES, Support.IGNORED], Support.NO),
    ],
)
def test_overall(taken: list[Support], result: Support) -> None:
    assert compare.overall([compare.Required("F", one) for one in taken]) is result


ROW = {
    "syscall": "openat2",
    "reachable": "yes",
    "check_fields": "no",
    "size": 24,
    "fields": [
        {
            "name": "flags",
            "present": "yes",
            "mask": "0x1",
            "flags": [{"name": "O_PATH", "in_mask": "unknown", "accepted": "yes"}],
        }
    ],
}


def test_same_answers_do_not_differ() -> None:
    assert compare.differences(compare.facts([ROW]), compare.facts([ROW])) == []


def test_differences() -> None:
    there = {**ROW, "size": 32, "reachable": "unknown"}
    found = compare.differences(compare.facts([ROW]), compare.facts([there]))
    assert [(one.what, one.here, one.there, one.settled) for one in found] == [
        ("reachable", "yes", "unknown", False),
        ("size", 24, 32, True),
    ]
    fewer = {**ROW, "fields": []}
    found = compare.differences(compare.facts([ROW]), compare.facts([fewer]))
    assert {one.settled for one in found} == {False}
    assert {one.what for one in found} == {"present", "mask", "accepted", "in_mask"}


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"syscall": 1},
        {"syscall": "x"},
        {"syscall": "x", "fields": [1]},
        {"syscall": "x", "fields": [{"name": "f"}]},
        7,
    ],
)
def test_facts_of_something_else(row: object) -> None:
    with pytest.raises(ValueError, match="is missing"):
        compare.facts([row])  # type: ignore[list-item]


def test_sizes_agree() -> None:
    one = report(OLD)
    assert one.sizes_agree is None
    assert replace(one, size_btf=24).sizes_agree is True
    assert replace(one, size_btf=24, size_check_fields=40).sizes_agree is False
