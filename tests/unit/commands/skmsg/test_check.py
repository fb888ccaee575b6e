# SPDX-License-Identifier: GPL-2.0-or-later
"""What skmsg check says besides the verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kprobe_tool.cli import run
from kprobe_tool.native import host
from kprobe_tool.probes.skmsg import experiment

DATA = Path(__file__).parents[2] / "data" / "skmsg" / "6.12.43+deb12-amd64.json"


@pytest.fixture
def namespace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Whether the child had a network namespace of its own."""
    seen = json.loads(DATA.read_text(encoding="utf-8")) | {"own_netns": request.param}
    monkeypatch.setattr(host, "effective_capabilities", lambda: frozenset({"CAP_SYS_ADMIN"}))
    monkeypatch.setattr(experiment, "gather", lambda deadline: seen)
    experiment.attempt.cache_clear()
    yield bool(request.param)
    experiment.attempt.cache_clear()


@pytest.mark.parametrize("namespace", [True, False], indirect=True)
def test_whose_namespace_it_was(namespace: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Where unshare(2) is refused, the connections are made among those of the host: it says so."""
    assert run(["skmsg", "check", "-o", "json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["own_netns"] is namespace
    assert ("the test connections were made in this network namespace" in err) is not namespace
