"""Fixtures of all unit tests."""

import pytest

from kprobe_tool.probes.skmsg import watch

from .fake_watch import CAPTURE, Fake


@pytest.fixture(autouse=True)
def fake_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "Watch", Fake)
    monkeypatch.setattr(watch, "boot_time", lambda: CAPTURE["boot_time"])
    monkeypatch.setattr(Fake, "unwatched", {})
    monkeypatch.setattr(Fake, "asked", [])
