# SPDX-License-Identifier: GPL-2.0-or-later
"""Audits for monitoring: what a plugin must say, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from kprobe_tool.checks import Check
from kprobe_tool.cli import run
from kprobe_tool.errors import ExitCode, PluginState
from kprobe_tool.probes import selection
from kprobe_tool.report.output import Output

from ... import formats
from .audits import (
    Capsys,
    run_audit,
)


@pytest.mark.parametrize("path", ["/dev/null", "/nonexistent/x", "/proc/x"])
@pytest.mark.parametrize("output", [Output.PROMETHEUS, Output.NRPE])
def test_a_file_that_cannot_be_written_is_one_line(
    output: Output, path: str, kernel: Callable[..., None], capsys: Capsys
) -> None:
    code, out, err = run_audit(capsys, "-o", output.value, "--write", path)
    assert err.count("\n") == 1 and err.startswith(f"kprobe-tool: audit: {path}: ")
    if output is Output.NRPE:
        assert code == PluginState.UNKNOWN
        assert formats.nrpe(out)[0] == "UNKNOWN"
    else:
        assert (code, out) == (ExitCode.CANNOT_RUN, "")


@pytest.mark.parametrize(
    "args",
    [
        ["audit", "-o", "nrpe", "--bogus"],
        ["audit", "--bogus", "--output=nrpe"],
        ["audit", "-qonrpe", "--only", "x|y\nz"],
        ["audit", "-o", "nrpe", "--waivers", "/nonexistent"],
        ["audit", "-o", "nrpe", "extra"],
        ["audt", "-o", "nrpe"],
        ["rds-info", "-o", "nrpe"],
    ],
    ids=" ".join,
)
def test_a_plugin_that_cannot_ask_is_unknown(args: list[str], capsys: Capsys) -> None:
    assert run(args) == PluginState.UNKNOWN
    out, err = capsys.readouterr()
    state, figures, rest = formats.nrpe(out)
    assert (state, figures, rest) == ("UNKNOWN", {}, [])
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "args", [["audit", "--only", "nrpe"], ["audit", "-o", "nrpex"], ["audit", "-o", "json", "nrpe"]]
)
def test_other_mistakes_are_not_the_plugin_s(args: list[str], capsys: Capsys) -> None:
    assert run(args) == ExitCode.CANNOT_RUN
    assert capsys.readouterr().out == ""


def test_a_bug_is_unknown_to_a_plugin(monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    def fail(only: Sequence[str], skip: Sequence[str]) -> list[Check]:
        raise ZeroDivisionError

    monkeypatch.setattr(selection, "select", fail)
    assert run(["audit", "-o", "nrpe"]) == PluginState.UNKNOWN
    assert formats.nrpe(capsys.readouterr().out)[0] == "UNKNOWN"
