# SPDX-License-Identifier: GPL-2.0-or-later
"""Every recipe asks what it asked a real kernel once, and judges its answers alike (see recorded.py)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kprobe_tool.native import emulator
from kprobe_tool.probes.extensible_structs import ask, table

from .recorded import Replayer, report_row

DATA = Path(__file__).parents[3] / "unit" / "data" / "extensible-structs"
RECORDED = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DATA.glob("*.json"))}


def test_every_system_call_was_recorded() -> None:
    """By one kernel at least: older recordings have no system call that was added later."""
    assert {name for found in RECORDED.values() for name in found} == set(table.NAMES)


@pytest.mark.parametrize(
    ("release", "name"), [(release, name) for release, found in RECORDED.items() for name in found]
)
def test_recorded_answers_are_judged_as_recorded(release: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = RECORDED[release][name]
    # What the kernel of the recording lacks it lacks by its symbols as well.
    monkeypatch.setattr(ask, "find_implementation", lambda entry: ask.Implementation(False))
    monkeypatch.setattr(emulator, "emulator", lambda: None)
    prober = Replayer(recorded["calls"])
    report = ask.Inquiry(table.entry(name), prober, False, None, exhaustive=False).report()
    assert report_row(report) == recorded["report"]
    recipe = table.entry(name).recipe
    assert prober.ask(recipe.second_call()).errno in recipe.second_errnos
    assert prober.rows == []
