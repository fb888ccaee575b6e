# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that boots guests, as far as it gets without booting any."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.lab import boot, guests
from kprobe_tool.lab.guests import Guest, GuestPlan

from ...skips import skip

PLAN = GuestPlan(
    (Guest("newest"), Guest("mine", "/srv/kernel")), ("true", "a b"), ("/opt",), 60.0, {"LANG": "C.UTF-8"}
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if missing := boot.missing():
        skip(f"not there: {', '.join(missing)}")
    monkeypatch.setenv("KPROBE_TOOL_KERNEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_plan_is_read_as_it_was_written() -> None:
    assert guests.parse_plan(json.dumps(asdict(PLAN))) == PLAN


def test_the_last_words_of_a_console_are_its_last_line(tmp_path: Path) -> None:
    console = tmp_path / "console.log"
    console.write_bytes(b"first\n\xff last  \n\n")
    assert guests.last_words(console).endswith(" last")
    console.write_bytes(b"\n")
    assert guests.last_words(console) == ""


def test_what_is_no_kernel_fails_with_a_reason(cache: Path, tmp_path: Path) -> None:
    """Each kernel has a reason of its own, and the process leaves nothing."""
    wanted = (Guest("first", str(tmp_path / "nowhere")), Guest("second", str(tmp_path)))
    with guests.events(GuestPlan(wanted, ("true",), (), 60.0)) as events:
        found = list(events)
    assert {(event["guest"], event["event"]) for event in found} == {
        (name, event) for name in ("first", "second") for event in ("fetch", "failed")
    }
    reasons = {event["guest"]: event["reason"] for event in found if event["event"] == "failed"}
    assert "No such file or directory" in reasons["first"]
    assert "modules of 0 kernels" in reasons["second"]
    assert list(cache.glob(".guests-*")) == []


def test_a_process_that_is_left_early_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    with guests.events(GuestPlan((Guest("first", str(tmp_path)),), ("true",), (), 60.0)):
        pass
    assert list(cache.glob(".guests-*")) == []


def test_a_machine_that_cannot_boot_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "missing", lambda: ["QEMU"])
    with pytest.raises(Error, match="cannot boot kernels: this machine lacks QEMU"), guests.events(PLAN):
        pass


def test_kvm_is_asked_for_only_where_wanted() -> None:
    image = boot.Image("7.3", Path("/kernel"))
    emulated = boot.virtme_run(image, Path("/script"))
    assert "--disable-kvm" in emulated and "tcg,thread=single" in emulated
    assert "--disable-kvm" not in boot.virtme_run(image, Path("/script"), kvm=True)
    assert "tcg,thread=single" not in boot.virtme_run(image, Path("/script"), kvm=True)
