"""Fixtures of the unit tests."""

import json
from pathlib import Path

import pytest

from kprobe_tool.probes.skmsg import experiment

SEEN = Path(__file__).parent / "data" / "skmsg" / "6.1.0-56-amd64.json"


@pytest.fixture
def sk_msg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling BPF takes root, and time: the checks of sk_msg find what a real kernel answered."""
    seen = experiment.experiment_of(json.loads(SEEN.read_text(encoding="utf-8")))
    monkeypatch.setattr(experiment, "attempt", lambda: seen)
