# SPDX-License-Identifier: GPL-2.0-or-later
"""What keeps the experiment from being made."""

from __future__ import annotations

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.native import host
from kprobe_tool.probes.skmsg import experiment
from kprobe_tool.probes.skmsg.experiment import CopyBitExperiment


def test_a_failure_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def fail() -> CopyBitExperiment:
        calls.append(1)
        raise OSError(22, "Invalid argument", "BPF map sockets")

    monkeypatch.setattr(experiment, "run_in_child", fail)
    experiment.attempt.cache_clear()
    try:
        for _ in range(2):
            with pytest.raises(Error, match=r"BPF on sockets: BPF map sockets: Invalid argument \(EINVAL\)"):
                experiment.run_experiment()
    finally:
        experiment.attempt.cache_clear()
    assert calls == [1]


@pytest.mark.parametrize(
    ("capabilities", "missing"),
    [
        ({"CAP_BPF"}, "CAP_NET_ADMIN and CAP_PERFMON"),
        ({"CAP_BPF", "CAP_PERFMON"}, "needs CAP_NET_ADMIN as well"),
        (set(), "CAP_BPF"),
    ],
)
def test_missing_capabilities_are_named(
    capabilities: set[str], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "effective_capabilities", lambda: frozenset(capabilities))
    with pytest.raises(Error, match=missing):
        experiment.require_privileges()


@pytest.mark.parametrize(
    "capabilities", [{"CAP_SYS_ADMIN"}, {"CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"}], ids=["root", "three"]
)
def test_enough_capabilities_are_enough(capabilities: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "effective_capabilities", lambda: frozenset(capabilities))
    experiment.require_privileges()
