# SPDX-License-Identifier: GPL-2.0-or-later
"""RDS that is not loaded: what that means depends on who can have it loaded."""

import os
from pathlib import Path

import pytest

from kprobe_tool.checks import Method, Status
from kprobe_tool.errors import Error
from kprobe_tool.native import kmod, procfs
from kprobe_tool.native.kmod import AliasTarget
from kprobe_tool.probes.rds.presence import Presence, presence

TARGET = AliasTarget("rds", "/lib/modules/x/modules.alias", None)
BLOCKED = AliasTarget("rds", "a", "blacklist rds (b)")
UNREADABLE = Error("/lib/modules/x/modules.alias", errno=2)


@pytest.mark.parametrize(
    ("autoload", "error", "status", "words"),
    [
        (None, None, Status.NOT_APPLICABLE, "RDS is not loaded and cannot be auto-loaded."),
        (BLOCKED, None, Status.NOT_APPLICABLE, "cannot be auto-loaded (blacklist rds (b))"),
        (TARGET, None, Status.UNKNOWN, "any user can have it loaded"),
        # Not being able to look was "it would not be loaded" once.
        (None, UNREADABLE, Status.UNKNOWN, "is not known: /lib/modules/x/modules.alias: No such file"),
    ],
)
def test_without_rds_the_finding_says_why(
    autoload: AliasTarget | None, error: Error | None, status: Status, words: str
) -> None:
    finding = Presence(False, (), autoload, error).finding()
    assert finding.status is status
    assert words in finding.reason
    assert bool(finding.settle) is (status is Status.UNKNOWN)
    assert finding.method is Method.CONFIG


def test_what_settles_it_is_what_the_host_can_do() -> None:
    """Loading it where that is known to be possible, and looking elsewhere where it is not."""
    assert "'modprobe rds'" in str(Presence(False, (), TARGET).finding().settle)
    assert "on the host, not in a container" in str(Presence(False, (), None, UNREADABLE).finding().settle)


def test_a_host_without_modules_alias_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "protocols", frozenset)
    monkeypatch.setattr(kmod, "MODULES", str(tmp_path))
    monkeypatch.setattr(kmod, "MODPROBE_DIRECTORIES", ())
    monkeypatch.setattr(kmod, "loading_disabled_by", lambda: None)
    found = presence()
    assert found.autoload is None
    assert found.autoload_error is not None and found.autoload_error.errno == 2
    assert found.autoload_error.subject == f"{tmp_path}/{os.uname().release}/modules.alias"
    assert found.finding().status is Status.UNKNOWN


def test_registered_is_all_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "protocols", lambda: frozenset({"TCP", "RDS"}))
    found = presence()
    assert found.registered
    assert (found.autoload, found.autoload_error) == (None, None)


def test_the_modules_that_are_loaded_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "protocols", lambda: frozenset({"RDS"}))
    monkeypatch.setattr(kmod, "is_loaded", lambda module: module != "rds_rdma")
    assert presence().modules == ("rds", "rds_tcp")
