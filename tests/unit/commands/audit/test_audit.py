"""audit from the command line to the exit code, on kernels that answer as the tests want."""

from __future__ import annotations

import faulthandler
import json
import os
import pty
import re
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.checks import CHECKS, Check, Finding, Method, Root, Status
from kprobe_tool.cli import run
from kprobe_tool.errors import Error, ExitCode, PluginState
from kprobe_tool.native import host as native_host
from kprobe_tool.probes import audit, host
from kprobe_tool.report.output import COMMON, Output

from ....processes import children, ends
from ... import formats

Capsys = pytest.CaptureFixture[str]
Answer = Finding | Callable[[], Finding]

FIRST, SECOND, THIRD, LAST = (CHECKS[number].id for number in (0, 1, 2, -1))
TODAY = datetime.now(UTC).date()
OK = Finding(Status.OK, "fine")
AFFECTED = Finding(Status.AFFECTED, "it | does", evidence={"seen": {"x": 1}, "more": "\x1b[31m"})
UNKNOWN = Finding(Status.UNKNOWN, "no way to tell", settle="root")
ABSENT = Finding(Status.NOT_APPLICABLE, "not there", Method.CONFIG)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes checks answer: all OK but those that are given."""

    def answers(found: Mapping[str, Answer] | None = None, rest: Finding = OK) -> None:
        def evaluate(check: Check) -> Finding:
            answer = (found or {}).get(check.id, rest)
            return answer if isinstance(answer, Finding) else answer()

        monkeypatch.setattr(audit, "evaluate", evaluate)

    answers()
    return answers


def asked(capsys: Capsys, *args: str) -> tuple[int, str, str]:
    capsys.readouterr()
    # With all checks, except where a test is about which are left out.
    everything = [] if {"--list", "--only", "-q"} & set(args) else ["--all"]
    code = run(["audit", *everything, *args])
    out, err = capsys.readouterr()
    return code, out, err


def document(capsys: Capsys, *args: str) -> Any:
    _, out, err = asked(capsys, *args, "-o", "json")
    assert out, err
    return json.loads(out)


def statuses(found: Any) -> dict[str, str]:
    return {row["id"]: row["status"] for row in found["results"]}


def segfault() -> Finding:
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGSEGV)
    return OK


def hang() -> Finding:
    time.sleep(3600)
    return OK


def bug() -> Finding:
    raise ZeroDivisionError("division by \x1b[31mzero")


def test_a_check_that_fails_costs_its_own_row(kernel: Callable[..., None], capfd: Capsys) -> None:
    kernel({FIRST: segfault, SECOND: hang, THIRD: bug})
    before, start = children(), time.monotonic()
    found = document(capfd, "--timeout", "1")
    assert time.monotonic() - start < 30
    rows = {row["id"]: row for row in found["results"]}
    assert list(rows) == [check.id for check in CHECKS]
    assert [name for name, row in rows.items() if row["status"] == "unknown"] == [FIRST, SECOND, THIRD]
    assert rows[FIRST]["reason"] == "the check failed: the process that asked was killed by SIGSEGV"
    assert rows[SECOND]["reason"] == "no answer within 1 s, so the check was stopped"
    assert "ZeroDivisionError" in rows[THIRD]["reason"] and "test_audit.py:" in rows[THIRD]["reason"]
    assert all(rows[name]["settle"] and rows[name]["evidence"] == {} for name in (FIRST, SECOND, THIRD))
    assert children() <= before


def test_no_process_to_check_in(monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    """That is unknown for the check that it was for, and the others are tried all the same."""
    forks = iter([None, None])
    fork = os.fork

    def failing() -> int:
        if next(forks, 1) is None:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return fork()

    monkeypatch.setattr(os, "fork", failing)
    monkeypatch.setattr(audit, "evaluate", lambda check: OK)
    rows = document(capsys)["results"]
    assert [row["status"] for row in rows] == ["unknown"] * 2 + ["ok"] * (len(CHECKS) - 2)
    assert {row["reason"] for row in rows[:2]} == {
        "this host had no room to run the check: "
        "fork(2) of a child process: Resource temporarily unavailable (EAGAIN)"
    }


@pytest.mark.parametrize("error", [Error("x", "y"), OSError(13, "Permission denied", "/proc/x")])
def test_what_keeps_a_check_from_asking_is_unknown(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    def fail(check: Check) -> Finding:
        raise error

    monkeypatch.setattr(Check, "run", fail)
    assert set(statuses(document(capsys)).values()) == {"unknown"}


@pytest.mark.parametrize(
    ("args", "left"),
    [
        (("--only", FIRST), [FIRST]),
        (("--only", FIRST, "--only", LAST), [FIRST, LAST]),
        (("--only", "rds"), [check.id for check in CHECKS if check.system == "rds"]),
        (("--skip", "rds"), [check.id for check in CHECKS if check.system != "rds"]),
        (("--only", "rds", "--skip", FIRST), [check.id for check in CHECKS if check.system == "rds"][1:]),
    ],
)
def test_only_and_skip(args: Sequence[str], left: list[str], kernel: Callable[..., None], capsys: Capsys) -> None:
    found = document(capsys, *args)
    assert [row["id"] for row in found["results"]] == left
    assert found["summary"]["left_out"] == [check.id for check in CHECKS if check.id not in left]
    listed = document(capsys, *args, "--list")
    assert [row["id"] for row in listed["results"]] == left


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["audit", "--only", "rds-bind-nets"], "'rds-bind-nets': no such check, system or CVE; did you mean"),
        (["audit", "--skip", "nvmee"], "did you mean 'nvme'?"),
        (
            ["audit", "--skip", "x\x1b"],
            "'x\\x1b': no such check, system or CVE; 'kprobe-tool audit --list' shows them",
        ),
        (["audit", "--only", "rds", "--skip", "rds"], "no check is left to run"),
        (["audit", "--timeout", "0"], "'--timeout'"),
        (["audit", "--timeout", "inf"], "'--timeout'"),
        (["audit", "--list", "-o", "prometheus"], "--list has no verdicts for -o prometheus"),
        (
            ["explain", "rds-bind-nets"],
            "'rds-bind-nets': no such check, system or CVE; did you mean 'rds-bind-netns'?",
        ),
        (["explain"], "which check? Its id, a system or a CVE number, or else --all"),
        (["explain", "rds", "--all"], "which check?"),
        (["schema", "audti"], "'audti': no such document; did you mean 'audit'?"),
        (["schema", "../../etc"], "no such document; 'kprobe-tool schema' lists them"),
        (["schema", "audit", "-o", "json"], "-o is for the list: a schema is JSON"),
    ],
)
def test_bad_arguments_are_one_line(args: list[str], words: str, capsys: Capsys) -> None:
    assert run(args) == ExitCode.CANNOT_RUN
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1 and words in err


LOW, HIGH = "rds-bind-netns", "rds-netns-delivery"
OUTCOMES: dict[str, dict[str, Answer]] = {
    "nothing": {},
    "low": {LOW: AFFECTED},
    "high": {LOW: AFFECTED, HIGH: AFFECTED},
    "unknown": {HIGH: UNKNOWN},
    "both": {LOW: AFFECTED, HIGH: UNKNOWN},
    "crash": {HIGH: segfault},
}
# --fail-on: the codes for high, medium, low, unknown, never; then the same of -o nrpe.
FORMATS = (*COMMON, Output.PROMETHEUS, Output.NRPE, Output.LINE)
FAIL_ON = ("high", "medium", "low", "unknown", "never")
CODES = {
    "nothing": "00000",
    "low": "00110",
    "high": "11110",
    "unknown": "00030",
    "both": "00110",
    "crash": "00030",
}
PLUGIN_CODES = {
    "nothing": "00000",
    "low": "00110",
    "high": "22220",
    "unknown": "00030",
    "both": "00110",
    "crash": "00030",
}


def check_text(output: Output, text: str, outcome: Mapping[str, Answer]) -> None:
    """What each format says of the outcome, read as its readers would. JSON is for test_schemas to judge."""
    affected = {name for name, answer in outcome.items() if answer is AFFECTED}
    unknown = set(outcome) - affected
    if output is Output.PROMETHEUS:
        samples = formats.prometheus(text)["kprobe_tool_check_status"]
        assert len(samples) == 4 * len(CHECKS)
        has = {labels["check"]: labels["status"] for labels, value in samples if value == 1}
        assert {name for name, status in has.items() if status == "affected"} == affected
        assert {name for name, status in has.items() if status == "unknown"} == unknown
        assert set(has) == {check.id for check in CHECKS}
    elif output is Output.NRPE:
        _, figures, details = formats.nrpe(text)
        assert (figures["affected"], figures["unknown"]) == (len(affected), len(unknown))
        assert sum(figures.values()) == len(CHECKS)
        assert len(details) == len(outcome)
    elif output in {Output.JSON, Output.JSONL}:
        lines = [json.loads(line) for line in text.splitlines()] if output is Output.JSONL else []
        rows = json.loads(text)["results"] if output is Output.JSON else [x for x in lines if x["type"] == "result"]
        assert {row["id"] for row in rows if row["status"] == "affected"} == affected
        assert {row["id"] for row in rows if row["status"] == "unknown"} == unknown
    elif output is Output.LINE:
        assert text.count("\n") == 1 and len(text.encode()) <= 81
        assert text.startswith("AFFECTED" if affected else "could not tell" if unknown else "nothing found")
    else:
        words = [line.split()[:2] for line in text.splitlines()]
        assert {line[1] for line in words if line[:1] == ["affected"]} == affected
        assert {line[1] for line in words if line[:1] == ["unknown"] and not line[1].isdigit()} == unknown
        # A line that is wrapped is the last all the same.
        last = text.rpartition("\n\n")[2].splitlines()
        assert last[0].startswith("RESULT: ") and all(line.startswith(" " * 8) for line in last[1:])


@pytest.mark.parametrize("fail_on", FAIL_ON)
@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("output", FORMATS)
def test_exit_codes_and_formats(
    output: Output, outcome: str, fail_on: str, kernel: Callable[..., None], capsys: Capsys
) -> None:
    kernel(OUTCOMES[outcome])
    code, out, err = asked(capsys, "-o", output.value, "--fail-on", fail_on)
    codes = PLUGIN_CODES if output is Output.NRPE else CODES
    assert code == int(codes[outcome][FAIL_ON.index(fail_on)])
    assert err == ""
    check_text(output, out, OUTCOMES[outcome])
    if output is Output.NRPE:
        assert formats.nrpe(out)[0] == PluginState(code).name


@pytest.mark.parametrize("output", FORMATS)
def test_waived_findings_are_seen_and_not_counted(
    output: Output, kernel: Callable[..., None], tmp_path: Path, capsys: Capsys
) -> None:
    kernel({LOW: AFFECTED, HIGH: UNKNOWN})
    path = tmp_path / "waivers.toml"
    # The last waiver has nothing to waive. That is no finding and no error: many hosts may share the file.
    path.write_text(waiver(LOW) + waiver(HIGH) + waiver(LAST))
    code, out, err = asked(capsys, "--waivers", str(path), "-o", output.value, "--fail-on", "unknown")
    assert (code, err) == (0, "")
    assert output is Output.LINE or (LOW in out and HIGH in out)
    if output is Output.JSON:
        rows = {row["id"]: row for row in json.loads(out)["results"]}
        assert rows[LOW]["waived"] == {"reason": "we know", "until": TODAY.isoformat()}
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


def waiver(name: str, reason: str = '"we know"', until: str = TODAY.isoformat()) -> str:
    return f'[[waiver]]\nid = "{name}"\nreason = {reason}\nuntil = {until}\n'


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
    code, out, err = asked(capsys, "--waivers", str(path))
    assert (code, out) == (ExitCode.CANNOT_RUN, "")
    assert err.count("\n") == 1 and err.startswith(f"kprobe-tool: audit: {path}: ") and words in err


def test_an_expired_waiver_is_a_warning(kernel: Callable[..., None], tmp_path: Path, capsys: Capsys) -> None:
    """The run goes on, since a textfile that goes stale hides more; and its finding counts."""
    kernel({HIGH: AFFECTED, FIRST: AFFECTED})
    yesterday = (TODAY - timedelta(days=1)).isoformat()
    path = tmp_path / "waivers.toml"
    path.write_text(waiver(HIGH, until=yesterday) + waiver(FIRST))
    found = document(capsys, "--waivers", str(path))
    assert [row["id"] for row in found["results"] if row["waived"]] == [FIRST]
    (warning,) = found["warnings"]
    assert warning.startswith(f"the waiver of '{HIGH}' expired on {yesterday}, and its finding counts again")
    code, _, err = asked(capsys, "--waivers", str(path))
    assert (code, err) == (ExitCode.FOUND, f"kprobe-tool: audit: {warning}\n")


@pytest.mark.parametrize("option", ["--waivers", "--baseline"])
def test_files_that_cannot_be_read(option: str, tmp_path: Path, capsys: Capsys) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(1 << 30)
    for path, words in ((tmp_path / "no", "ENOENT"), (tmp_path, "EISDIR"), (large, "larger than")):
        code, out, err = asked(capsys, option, str(path))
        assert (code, out, err.count("\n")) == (ExitCode.CANNOT_RUN, "", 1)
        assert words in err


def test_baseline(kernel: Callable[..., None], tmp_path: Path, capsys: Capsys) -> None:
    kernel({FIRST: AFFECTED, SECOND: UNKNOWN})
    before = document(capsys)
    gone = {**before["results"][-1], "id": "gone-check"}
    # As if the third check were new.
    before["results"] = [*(row for row in before["results"] if row["id"] != THIRD), gone]
    before["host"]["time"] = "2020-01-01T00:00:00Z"
    path = tmp_path / "before.json"
    path.write_text(json.dumps(before))
    kernel({FIRST: Finding(Status.AFFECTED, "another reason", evidence={"x": 2}), SECOND: OK})
    found = document(capsys, "--baseline", str(path))
    assert found["warnings"] == []
    assert found["baseline"] == {
        "hostname": before["host"]["hostname"],
        "release": before["host"]["release"],
        "time": "2020-01-01T00:00:00Z",
        "changes": [
            {"id": SECOND, "change": "changed", "before": "unknown", "now": "ok"},
            {"id": THIRD, "change": "new", "before": None, "now": "ok"},
            {"id": "gone-check", "change": "gone", "before": "ok", "now": None},
        ],
    }
    _, out, _ = asked(capsys, "--baseline", str(path))
    lines = [line.split() for line in out[out.index("Since 2020") :].splitlines()[1:5]]
    assert lines == [
        ["CHANGE", "ID", "BEFORE", "NOW"],
        ["changed", SECOND, "unknown", "ok"],
        ["new", THIRD, "-", "ok"],
        ["gone", "gone-check", "ok", "-"],
    ]


def test_baseline_of_the_same(kernel: Callable[..., None], tmp_path: Path, capsys: Capsys) -> None:
    path = tmp_path / "before.json"
    assert asked(capsys, "--write", str(path), "-o", "json")[:2] == (0, "")
    time.sleep(1)
    assert document(capsys, "--baseline", str(path))["baseline"]["changes"] == []
    assert "no verdict has changed" in asked(capsys, "--baseline", str(path))[1]
    # What was left out now is not gone.
    assert document(capsys, "--baseline", str(path), "--skip", "rds")["baseline"]["changes"] == []


def test_baseline_of_another_host(kernel: Callable[..., None], tmp_path: Path, capsys: Capsys) -> None:
    before = document(capsys)
    before["host"]["hostname"] = "other\x1b[31m"
    path = tmp_path / "before.json"
    path.write_text(json.dumps(before))
    code, out, err = asked(capsys, "--baseline", str(path))
    assert code == 0
    assert err == "kprobe-tool: audit: the baseline is of another host, 'other\\x1b[31m'\n"
    assert "\x1b[31m" not in out
    assert asked(capsys, "--baseline", str(path), "-q")[1:] == ("", "")
    _, out, err = asked(capsys, "--baseline", str(path), "-o", "prometheus")
    formats.prometheus(out)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 2}, "schema_version 2, and this kprobe-tool writes 1"),
        ({"schema_version": "x" * 1000}, "schema_version 'xxx"),
        ({"document": "doctor"}, "not the output of 'kprobe-tool audit -o json': it is the document 'doctor'"),
        ({"document": ...}, "missing 'document'"),
        ({"results": ...}, "missing 'results'"),
        ({"host": ...}, "missing 'host'"),
        ({"host": {"hostname": 1, "release": "", "time": ""}}, "a name that is no text"),
        ({"results": None}, "not the output of"),
        ({"results": [{"id": "x", "status": "fine"}]}, "'fine' is not a valid Status"),
        ({"results": [{"id": [], "status": "ok"}]}, "not the output of"),
        (None, "not the output of"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_bad_baselines_are_one_line(
    change: dict[str, Any] | str | None, words: str, kernel: Callable[..., None], tmp_path: Path, capsys: Capsys
) -> None:
    path = tmp_path / "before.json"
    if isinstance(change, dict):
        before = {**document(capsys), **change}
        path.write_text(json.dumps({key: value for key, value in before.items() if value is not ...}))
    else:
        path.write_text(change or "[]")
    code, out, err = asked(capsys, "--baseline", str(path))
    assert (code, out) == (ExitCode.CANNOT_RUN, "")
    assert err.count("\n") == 1 and err.startswith(f"kprobe-tool: audit: {path}: ") and words in err


@pytest.mark.parametrize("output", FORMATS)
def test_write(output: Output, kernel: Callable[..., None], tmp_path: Path, capsys: Capsys) -> None:
    kernel({HIGH: AFFECTED})
    path = tmp_path / "x"
    path.write_text("old")
    path.chmod(0o600)
    before = os.umask(0o077)
    try:
        code, out, err = asked(capsys, "-o", output.value, "--write", str(path))
    finally:
        os.umask(before)
    assert (code, out, err) == (2 if output is Output.NRPE else 1, "", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["x"]
    text = path.read_text()
    assert "\x1b" not in text
    check_text(output, text, {HIGH: AFFECTED})


@pytest.mark.parametrize("path", ["/dev/null", "/nonexistent/x", "/proc/x"])
@pytest.mark.parametrize("output", [Output.PROMETHEUS, Output.NRPE])
def test_targets_that_cannot_be_written(
    output: Output, path: str, kernel: Callable[..., None], capsys: Capsys
) -> None:
    code, out, err = asked(capsys, "-o", output.value, "--write", path)
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

    monkeypatch.setattr(audit, "select", fail)
    assert run(["audit", "-o", "nrpe"]) == PluginState.UNKNOWN
    assert formats.nrpe(capsys.readouterr().out)[0] == "UNKNOWN"


@pytest.mark.parametrize("columns", [80, 160])
def test_a_terminal_is_filled_and_not_exceeded(
    columns: int, kernel: Callable[..., None], capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    long = "word " * 60
    affected = Finding(Status.AFFECTED, long, evidence={"x": "y" * 300, "z": {"a": long}})
    kernel({LOW: affected, HIGH: Finding(Status.UNKNOWN, long, settle=long)}, Finding(Status.NOT_APPLICABLE, long))
    _, out, _ = asked(capsys, "--evidence")
    lines = out.splitlines()
    assert columns - 20 <= max(map(len, lines)) <= columns
    _, out, _ = asked(capsys, "-o", "wide")
    assert long.strip() in out
    _, out, _ = asked(capsys, "--list")
    assert max(map(len, out.splitlines())) <= columns
    rows = [line.split()[0] for line in out[out.index("References") :].splitlines()[2:] if line[0] != " "]
    assert rows == [check.id for check in CHECKS for _ in check.references]


def test_nothing_is_wrapped_in_a_pipe(
    kernel: Callable[..., None], capfd: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    long = "word " * 60 + "end"
    kernel({LOW: Finding(Status.AFFECTED, long)}, Finding(Status.NOT_APPLICABLE, long))
    _, out, _ = asked(capfd)
    assert out.count(long) == out.count("word " * 60) and out.count(long) > len(CHECKS)


def test_what_people_read(kernel: Callable[..., None], capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of it: findings by status and severity, counts, and the verdict as the last line."""
    when = {"hostname": "vm", "release": "6.12.43", "arch": "x86_64", "time": "2026-11-21T11:52:07Z"}
    monkeypatch.setattr(host, "identity", lambda: when)
    monkeypatch.setattr(host, "as_root", lambda: True)
    monkeypatch.setattr(time, "monotonic", lambda: 1.0)
    found: dict[str, Finding] = {check.id: ABSENT for check in CHECKS if check.system == "nvme"}
    kernel({**found, LOW: AFFECTED, HIGH: AFFECTED, "rds-info-netns-leak": UNKNOWN})
    # The capture of the test in two calls: the default set, without the checks that are for authors of programs.
    capsys.readouterr()
    assert run(["audit"]) == ExitCode.FOUND
    out = capsys.readouterr().out
    assert out == (Path(__file__).parents[2] / "data" / "golden" / "audit.table").read_text(encoding="utf-8")
    assert "\x1b" not in out


def test_quiet_shows_what_counts(kernel: Callable[..., None], tmp_path: Path, capsys: Capsys) -> None:
    assert asked(capsys, "-q") == (0, "", "")
    kernel({LOW: AFFECTED, HIGH: UNKNOWN, LAST: AFFECTED}, ABSENT)
    path = tmp_path / "waivers.toml"
    path.write_text(waiver(LAST))
    code, out, err = asked(capsys, "-q", "--waivers", str(path), "--fail-on", "low")
    assert (code, err) == (1, "")
    assert re.findall(r"(?:affected|unknown)  (\S+)", out) == [LOW, HIGH]
    assert "RESULT" not in out and "n/a" not in out


def test_quiet_with_a_baseline_shows_what_has_changed(
    kernel: Callable[..., None], tmp_path: Path, capsys: Capsys
) -> None:
    path = tmp_path / "before.json"
    assert asked(capsys, "--write", str(path), "-o", "json")[0] == 0
    assert asked(capsys, "-q", "--baseline", str(path), "--fail-on", "changed") == (0, "", "")
    kernel({LOW: UNKNOWN})
    code, out, _ = asked(capsys, "-q", "--baseline", str(path), "--fail-on", "changed")
    assert code == ExitCode.FOUND
    assert ["changed", LOW, "ok", "unknown"] in [line.split() for line in out.splitlines()]
    assert asked(capsys, "--fail-on", "changed")[0] == ExitCode.CANNOT_RUN


def test_evidence_is_shown(kernel: Callable[..., None], capsys: Capsys) -> None:
    kernel({LOW: AFFECTED})
    assert "Evidence" not in asked(capsys)[1]
    _, out, _ = asked(capsys, "--evidence")
    assert (
        "seen=x=1" in out
        and "more=\\x1b[31m" in out
        and "\x1b" not in out.replace("\x1b[1m", "").replace("\x1b[0m", "")
    )


def test_what_was_not_checked_is_said(kernel: Callable[..., None], capsys: Capsys) -> None:
    kernel({LOW: UNKNOWN}, ABSENT)
    _, out, _ = asked(capsys, "--skip", LAST)
    lines = [line.split(None, 2) for line in out.splitlines()]
    assert ["not", "run", f"1   {LAST}"] in lines
    (absent,) = [line[2] for line in lines if line[:1] == ["n/a"]]
    assert absent.startswith("rds 3 (not there), ")


def test_only_authors_of_programs_are_told_of_their_bugs(kernel: Callable[..., None], capsys: Capsys) -> None:
    authors = [check.id for check in CHECKS if not check.default]
    assert authors == ["openat2-usize-limit", "copy-struct-to-user"]
    capsys.readouterr()
    assert run(["audit", "-o", "json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    assert found["summary"]["left_out"] == authors
    assert [row["id"] for row in document(capsys, "--only", ",".join(authors))["results"]] == authors


def test_checks_can_be_chosen_by_cve(kernel: Callable[..., None], capsys: Capsys) -> None:
    chosen = document(capsys, "--only", "CVE-2026-97476, nvme-queue-count", "--skip", "rds-info-count-leak")
    assert [row["id"] for row in chosen["results"]] == ["rds-info-netns-leak", "nvme-queue-count"]


@pytest.mark.parametrize("root", [True, False])
def test_what_root_would_add(
    root: bool, kernel: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    never = next(check.id for check in CHECKS if check.needs.root is Root.NEVER)
    sometimes = next(check.id for check in CHECKS if check.needs.root is Root.SOMETIMES)
    kernel({never: UNKNOWN, sometimes: UNKNOWN})
    monkeypatch.setattr(host, "as_root", lambda: root)
    summary = document(capsys)["summary"]
    assert (summary["root"], summary["root_may_settle"]) == (root, [] if root else [sometimes])
    _, out, _ = asked(capsys)
    assert ("this was not root, which may settle 1" in out) == (not root)


def test_without_proc(kernel: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    def missing(name: str) -> str | None:
        raise FileNotFoundError(2, "No such file or directory", "/proc/self/status")

    monkeypatch.setattr(native_host, "in_initial_user_namespace", lambda: True)
    monkeypatch.setattr(native_host, "status_field", missing)
    assert document(capsys)["summary"]["root"] is False


def test_progress_is_for_terminals() -> None:
    """On stderr, one line that is gone in the end; never where stderr is no terminal."""
    argv = [sys.executable, "-m", "kprobe_tool", "audit", "--all", "-o", "json"]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    json.loads(done.stdout)
    assert f"\r1/{len(CHECKS)} {FIRST} ...\x1b[K" in shown
    assert shown.endswith("\r\x1b[K") and "\n" not in shown
    done = subprocess.run(argv, check=False, capture_output=True)
    assert done.stderr == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(number: signal.Signals) -> None:
    """A signal while a check hangs: it ends at once, and no process is left."""
    code = (
        "import signal, time\n"
        "from kprobe_tool.__main__ import main\n"
        "from kprobe_tool.probes import audit\n"
        # A shell ignores it for what it starts in the background.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "audit.evaluate = lambda check: time.sleep(3600)\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "audit", "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 30
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not children.read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        (child,) = children.read_text().split()
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (-number, b"", b"")
    assert ends(int(child))


@pytest.mark.parametrize(
    ("args", "explained"),
    [
        (["rds"], [check.id for check in CHECKS if check.system == "rds"]),
        (["CVE-2026-97476"], ["rds-info-netns-leak", "rds-info-count-leak"]),
        (["nvme-queue-count", "rds-bind-netns"], ["rds-bind-netns", "nvme-queue-count"]),
        (["--all"], [check.id for check in CHECKS]),
    ],
)
def test_explain(args: list[str], explained: list[str], capsys: Capsys) -> None:
    assert run(["explain", *args, "-o", "json"]) == ExitCode.OK
    assert [row["id"] for row in json.loads(capsys.readouterr().out)["results"]] == explained
