# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the unit tests."""

import errno as errnos
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from kprobe_tool.native import bpf
from kprobe_tool.probes.skmsg import experiment, watch
from kprobe_tool.probes.verifier.watching import watch as verifier_watch
from tests.corpus import LOGS

from .fake_loads import FakeWatch
from .fake_watch import CAPTURE, Fake

SEEN = Path(__file__).parent / "data" / "skmsg" / "6.1.0-56-amd64.json"

# On a machine that is in use an example may wait longer for a processor than it takes.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture
def sk_msg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling BPF takes root, and time: the checks of sk_msg find what a real kernel answered."""
    seen = experiment.experiment_of(json.loads(SEEN.read_text(encoding="utf-8")))
    monkeypatch.setattr(experiment, "attempt", lambda: seen)


@pytest.fixture
def rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading BPF takes root: a program is rejected as a real kernel rejected one."""
    log = (LOGS / "7.3-rc7" / "leak-two.txt").read_bytes()
    monkeypatch.setattr(bpf, "load", lambda program, level: bpf.LoadAnswer(errnos.EINVAL, log, True, len(log)))


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a terminal of 80 columns: in a pipe, which the tests are, nothing is wrapped."""
    monkeypatch.setenv("COLUMNS", "80")


VERIFIER_WATCH = verifier_watch.LoadWatch


@pytest.fixture
def real_watch() -> type[verifier_watch.LoadWatch]:
    """The one that attaches to this kernel, for where it does not get so far."""
    return VERIFIER_WATCH


@pytest.fixture(autouse=True)
def fake_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """No unit test attaches anything to this kernel."""
    monkeypatch.setattr(watch, "MessageWatch", Fake)
    monkeypatch.setattr(verifier_watch, "LoadWatch", FakeWatch)
    monkeypatch.setattr(watch, "boot_time", lambda: CAPTURE["boot_time"])
    monkeypatch.setattr(Fake, "unwatched", {})
    monkeypatch.setattr(Fake, "asked", [])
