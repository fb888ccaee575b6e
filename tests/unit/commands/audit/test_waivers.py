# SPDX-License-Identifier: GPL-2.0-or-later
"""Findings that somebody has accepted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from kprobe_tool.checks import CHECKS
from kprobe_tool.commands.audit import waivers
from kprobe_tool.errors import ExitCode
from kprobe_tool.report.output import Output

from ... import formats
from ...test_man import page_of
from .audits import (
    AFFECTED,
    FIRST,
    FORMATS,
    HIGH,
    LAST,
    LOW,
    UNKNOWN,
    Capsys,
    document,
    run_audit,
    today,
    waiver,
)


@pytest.mark.parametrize("output", FORMATS)
def test_waived_findings_are_seen_and_not_counted(
    output: Output, kernel: Callable[..., None], tmp_path: Path, capsys: Capsys
) -> None:
    kernel({LOW: AFFECTED, HIGH: UNKNOWN})
    path = tmp_path / "waivers.toml"
    # The last waiver has nothing to waive. That is no finding and no error: many hosts may share the file.
    until = today().isoformat()
    path.write_text("".join(waiver(name, until=until) for name in (LOW, HIGH, LAST)))
    code, out, err = run_audit(capsys, "--waivers", str(path), "-o", output.value, "--fail-on", "unknown")
    assert (code, err) == (0, "")
    assert output is Output.LINE or (LOW in out and HIGH in out)
    if output is Output.JSON:
        rows = {row["id"]: row for row in json.loads(out)["results"]}
        assert rows[LOW]["waived"] == {"reason": "we know", "until": until}
        assert rows[LOW]["status"] == "affected"
        assert [name for name, row in rows.items() if row["waived"]] == [HIGH, LOW]
        counts = json.loads(out)["summary"]["counts"]
        assert counts == {
            "ok": len(CHECKS) - 2,
            "affected": 0,
            "not-applicable": 0,
            "unknown": 0,
            "waived": 2,
        }
    elif output is Output.PROMETHEUS:
        waived = formats.prometheus(out)["kprobe_tool_check_waived"]
        assert {labels["check"] for labels, value in waived if value} == {LOW, HIGH}
    elif output is Output.NRPE:
        assert formats.nrpe(out)[:2] == (
            "OK",
            {"ok": len(CHECKS) - 2, "affected": 0, "not_applicable": 0, "unknown": 0, "waived": 2},
        )
    elif output is Output.TABLE:
        assert "affected (waived)" in out and "we know" in out
        assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[waiver", "not TOML: "),
        ("\xff", "not TOML: "),
        ("x = " + "[" * 100_000, "nested too deep"),
        ("surprise = 1", "unknown key 'surprise'"),
        ("waiver = 1", "'waiver' is not a list of tables"),
        ("waiver = [1]", "waiver 1: not a table"),
        ("[waiver]\nid = 'x'", "[[waiver]], with two brackets"),
        (waiver(FIRST) + "note = 1\n", "waiver 1: unknown key 'note'; a waiver has id, reason, until"),
        (f"[[waiver]]\nid = '{FIRST}'\nreason = 'x'\n", "waiver 1: no 'until'"),
        (f"[[waiver]]\nid = '{FIRST}'\nuntil = 2999-01-01\n", "waiver 1: no 'reason'"),
        (waiver(FIRST, reason='" "'), "text that is not empty"),
        (waiver(FIRST, reason="1"), "text that is not empty"),
        (waiver(FIRST, until='"2999-01-01"'), "'until' is not a date; such as 2027-03-31, without quotes"),
        (waiver(FIRST, until="2999-01-01T00:00:00Z"), "'until' is not a date"),
        (waiver(FIRST, until="2999-02-30"), "not TOML: "),
        (waiver(FIRST + "k"), f"waiver 1: '{FIRST}k': no such check; did you mean '{FIRST}'?"),
        (waiver("rds"), "'rds': no such check"),
        (waiver(FIRST) + waiver(FIRST), f"waiver 2: a second waiver of '{FIRST}'"),
    ],
)
def test_bad_waivers_are_one_line(
    text: str, words: str, kernel: Callable[..., None], tmp_path: Path, capsys: Capsys
) -> None:
    path = tmp_path / "waivers.toml"
    path.write_bytes(text.encode("latin-1"))
    code, out, err = run_audit(capsys, "--waivers", str(path))
    assert (code, out) == (ExitCode.CANNOT_RUN, "")
    assert err.count("\n") == 1 and err.startswith(f"kprobe-tool: audit: {path}: ") and words in err


def test_an_expired_waiver_is_a_warning(kernel: Callable[..., None], tmp_path: Path, capsys: Capsys) -> None:
    """The run goes on, since a textfile that goes stale hides more; and its finding counts."""
    kernel({HIGH: AFFECTED, FIRST: AFFECTED})
    yesterday = (today() - timedelta(days=1)).isoformat()
    path = tmp_path / "waivers.toml"
    path.write_text(waiver(HIGH, until=yesterday) + waiver(FIRST))
    found = document(capsys, "--waivers", str(path))
    assert [row["id"] for row in found["results"] if row["waived"]] == [FIRST]
    (warning,) = found["warnings"]
    assert warning.startswith(f"the waiver of '{HIGH}' expired on {yesterday}, and its finding counts again")
    code, _, err = run_audit(capsys, "--waivers", str(path))
    assert (code, err) == (ExitCode.FOUND, f"kprobe-tool: audit: {warning}\n")


def test_the_page_shows_a_file_of_waivers(tmp_path: Path) -> None:
    shown = re.search(
        r"^\.EX\n(\[\[waiver\]\]\n.*?)^\.EE", page_of("audit").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert shown is not None
    path = tmp_path / "waivers.toml"
    path.write_text(shown[1], encoding="utf-8")
    assert list(waivers.load(str(path))) == ["rds-bind-netns"]
