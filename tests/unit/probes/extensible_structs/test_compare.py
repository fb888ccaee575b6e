# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers compared with the release, with what is required, and with another host's answers."""

from __future__ import annotations

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
def test_a_version_is_its_numbers(text: str, numbers: compare.Version) -> None:
    assert compare.version(text) == numbers


NOTHING_MISSING = "All flags asked about that Linux 6.1 has are there."


@pytest.mark.parametrize(
    ("flags", "release", "sentence"),
    [
        ((OLD, NO_NEW), "6.1.192", NOTHING_MISSING),
        ((OLD, NEW), "6.1.192", "This kernel 6.1 has features of Linux 7.2."),
        ((OLD, NEW), "7.1", "This kernel 7.1 has features of Linux 7.2."),
        ((OLD, NO_NEW), "7.1", "All flags asked about that Linux 7.1 has are there."),
        ((OLD, NEW), "7.2.12+deb13-amd64", "All flags asked about that Linux 7.2 has are there."),
        ((OLD, NO_NEW), "7.3-rc7", "This kernel lacks what Linux 7.3 has: openat2.flags.NEW."),
        ((flag("OLD", "5.6", Support.UNKNOWN),), "6.1", "No flag tells how old this kernel's features are."),
        (
            (OLD, flag("NEVER", "5.6", Support.NO, always_refused=True)),
            "6.1",
            NOTHING_MISSING,
        ),
        (
            (OLD, flag("CONFIG", "5.6", Support.NO, Support.YES)),
            "6.1",
            NOTHING_MISSING,
        ),
        ((OLD, flag("bit 40", None, Support.YES)), "6.1", NOTHING_MISSING),
        ((OLD, flag("PASSES", "7.2", Support.IGNORED)), "6.1", NOTHING_MISSING),
    ],
)
def test_the_level_is_told_in_a_sentence(flags: tuple[FlagReport, ...], release: str, sentence: str) -> None:
    assert str(compare.level([report(*flags)], release)) == sentence


@pytest.mark.parametrize(
    ("since", "method", "missing"),
    [
        ("6.1", ProbeMethod.PROBE, True),
        ("6.0", ProbeMethod.PROBE, True),
        ("6.12", ProbeMethod.PROBE, False),
        ("5.6", ProbeMethod.PROCFS, False),
    ],
)
def test_flags_of_older_releases_that_are_absent_are_missing(since: str, method: ProbeMethod, missing: bool) -> None:
    """Those that /proc shows to be absent do not count: they are a matter of the configuration."""
    one = FlagReport("F", 1, since, FlagResult(Support.NO, method))
    assert compare.level([report(one)], "6.1").missing == (("openat2.flags.F",) if missing else ())


def test_require_of_what_is_not_reachable_says_why() -> None:
    blocked = report(OLD, reachable=Reachability.BLOCKED)
    assert compare.require(blocked, "OLD").reason == "blocked"
    assert compare.require(blocked._replace(reasons=("EPERM", "more")), "OLD").reason == "EPERM; more"
    unprobed = report(flag("F", "7.2", Support.UNKNOWN))._replace(reasons=("not probed",))
    assert compare.require(unprobed, "F").reason == "not probed"


@pytest.mark.parametrize(
    ("one", "support"),
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
def test_a_required_flag_is_accepted_or_in_the_mask(one: FlagReport, support: Support) -> None:
    assert compare.require(report(one), one.name).support is support
    assert compare.require(report(one), f"flags.{one.name}").support is support
    blocked = report(one, reachable=Reachability.BLOCKED)
    assert compare.require(blocked, one.name).support is Support.UNKNOWN


def test_a_required_field_is_present() -> None:
    assert compare.require(report(OLD), "flags").support is Support.YES
    assert compare.require(report(OLD), "late").support is Support.NO
    for reachable in Reachability:
        with pytest.raises(KeyError):
            compare.require(report(OLD, reachable=reachable), "nonsense")


@pytest.mark.parametrize(
    ("supports", "result"),
    [
        ([Support.YES, Support.YES], Support.YES),
        ([Support.YES, Support.UNKNOWN], Support.UNKNOWN),
        ([Support.UNKNOWN, Support.NO], Support.NO),
        ([Support.YES, Support.IGNORED], Support.NO),
    ],
)
def test_all_that_is_required_must_be_there(supports: list[Support], result: Support) -> None:
    assert compare.combined_result([compare.Required("F", one) for one in supports]) is result


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


def test_what_is_unknown_on_one_side_settles_no_difference() -> None:
    there = {**ROW, "size": 32, "reachable": "unknown"}
    found = compare.differences(compare.facts([ROW]), compare.facts([there]))
    assert [(one.what, one.here, one.there, one.settled) for one in found] == [
        ("reachable", "yes", "unknown", False),
        ("size", 24, 32, True),
    ]
    fewer = {**ROW, "fields": []}
    found = compare.differences(compare.facts([ROW]), compare.facts([fewer]))
    assert {one.settled for one in found} == {False}
    assert {one.what for one in found} == {"present", "accepted", "in_mask"}


def with_mask(mask: str, method: str) -> dict[str, object]:
    field = {"name": "flags", "present": "yes", "mask": mask, "mask_method": method, "flags": []}
    return {**ROW, "fields": [field]}


@pytest.mark.parametrize(
    ("here", "there", "differ"),
    [
        (("0x1", "check-fields"), ("0x3", "check-fields"), True),
        (("0x1", "probe"), ("0x3", "probe"), False),
        (("0x1", "probe"), ("0x3", "check-fields"), False),
        (("0x1", "check-fields"), ("0x3", "probe"), False),
        (("0x1", "self-described"), ("0x3", "self-described"), False),
    ],
)
def test_masks_that_were_probed_are_not_whole(here: tuple[str, str], there: tuple[str, str], differ: bool) -> None:
    found = compare.differences(compare.facts([with_mask(*here)]), compare.facts([with_mask(*there)]))
    assert bool(found) is differ


def test_disabled_settles_no_difference() -> None:
    found = compare.differences(compare.facts([ROW]), compare.facts([{**ROW, "reachable": "disabled"}]))
    assert [one.settled for one in found] == [False]
    found = compare.differences(compare.facts([ROW]), compare.facts([{**ROW, "reachable": "blocked"}]))
    assert [one.settled for one in found] == [True]


@pytest.mark.parametrize(
    "results",
    [
        None,
        7,
        "x",
        {},
        [7],
        [{}],
        [{"syscall": 1}],
        [{"syscall": "x"}],
        [{"syscall": "x", "fields": {}}],
        [{"syscall": "x", "fields": [1]}],
        [{"syscall": "x", "fields": [{"name": "f"}]}],
        [{"syscall": "x", "fields": [{"name": ["f"], "flags": []}]}],
        [{"syscall": "x", "fields": [{"name": "f", "flags": ["x"]}]}],
        [{"syscall": "x", "fields": [{"name": "f", "flags": [{"name": None}]}]}],
        [{"syscall": "x", "fields": [], "reachable": []}],
        [{"syscall": "x", "fields": [], "size": {}}],
        [{"syscall": "x", "fields": [], "size": 1.5}],
        [{"syscall": "x", "fields": [{"name": "f", "flags": [], "present": []}]}],
        [{"syscall": "x", "fields": [{"name": "f", "flags": [], "mask_method": {}}]}],
        [{"syscall": "x", "fields": [{"name": "f", "flags": [{"name": "F", "accepted": {}}]}]}],
    ],
)
def test_what_is_no_answer_has_no_facts(results: object) -> None:
    with pytest.raises(ValueError, match="' is "):
        compare.facts(results)
