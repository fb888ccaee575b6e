# SPDX-License-Identifier: GPL-2.0-or-later
"""Diagnoses as data."""

from __future__ import annotations

from dataclasses import replace

from kprobe_tool.probes.verifier.diagnosis import Diagnosis, LogOutcome, PathEvent, Place


def place_at(insn: int) -> Place:
    return Place(insn=insn)


def test_every_place_is_changed() -> None:
    event = PathEvent("branch", "the jump is taken", place_at(2))
    other = Diagnosis(LogOutcome.REJECTED, False, True, None, None, None, "another", place_at(4), path=(event,))
    first = replace(
        other, reason="first", place=place_at(1), lock=(replace(event, place=place_at(3)),), others=(other,)
    )
    moved = first.with_places(lambda place: replace(place, line=place.insn))
    assert moved.place == Place(insn=1, line=1)
    assert [event.place.line for event in (*moved.path, *moved.lock)] == [2, 3]
    assert [(each.reason, each.place.line, each.path[0].place.line) for each in moved.others] == [("another", 4, 2)]
    assert replace(moved.path[0], place=place_at(2)) == event
