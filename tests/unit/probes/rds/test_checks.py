# SPDX-License-Identifier: GPL-2.0-or-later
"""What the rows of rds name, without RDS and without an answer."""

import errno as errnos

import pytest

from kprobe_tool.checks import CHECKS, Status, evaluate
from kprobe_tool.errors import Error
from kprobe_tool.probes.rds import checks, experiment
from kprobe_tool.probes.rds.experiment import IsolationExperiment
from kprobe_tool.probes.rds.presence import Presence


def verdicts(monkeypatch: pytest.MonkeyPatch, done: IsolationExperiment | Error, present: Presence) -> set[Status]:
    monkeypatch.setattr(checks, "presence", lambda: present)
    monkeypatch.setattr(experiment, "attempt", lambda: done)
    return {evaluate(check).status for check in CHECKS if check.system == "rds"}


def test_an_experiment_that_cannot_be_run_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    present = Presence(True, ("rds",), None)
    assert verdicts(monkeypatch, Error("leak check", "no", hint="root"), present) == {Status.UNKNOWN}


def test_rds_that_is_not_there_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = verdicts(monkeypatch, Error("must", "not be asked"), Presence(False, (), None))
    assert found == {Status.NOT_APPLICABLE}


def test_a_full_table_of_sockets_is_no_matter_of_privilege() -> None:
    """bind(2) answers ENOMEM beyond 32,768 bound sockets: see tests/kernels/guest/test_load.py."""
    assert "is full" in experiment.hint_about(errnos.ENOMEM)
    assert "root" in experiment.hint_about(errnos.EPERM)
