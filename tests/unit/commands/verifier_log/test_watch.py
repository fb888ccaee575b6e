# SPDX-License-Identifier: GPL-2.0-or-later
"""The command as a person and as a script meet it, with what a kernel told it."""

from __future__ import annotations

import jsonschema
import pytest

from kprobe_tool import cli
from kprobe_tool.commands.verifier_log import watch as verifier_watch
from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.native import bpf, host
from kprobe_tool.native.programs import verifier_watch as records
from kprobe_tool.probes.verifier.watching import watch
from kprobe_tool.probes.verifier.watching.watch import LoadFilter, LogSource

from ...documents import SCHEMAS, check_command
from ...fake_loads import LOG, FakeWatch

SHORT = ("--duration", "0.001")

Capsys = pytest.CaptureFixture[str]


def run(capsys: Capsys, *args: str) -> tuple[int, str, str]:
    code = cli.run(["verifier-log", "watch", *args])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_document_counts_its_reports_and_fits_its_schema(capsys: Capsys) -> None:
    document = check_command(capsys, "verifier-log-watch", "verifier-log", "watch", *SHORT)
    assert document["summary"] == {
        "seen": 7,
        "emitted": 5,
        "dropped": 2,
        "filtered": 3,
        "reports": 4,
        "ended": "duration",
    }
    assert document["warnings"] == list(FakeWatch.warnings)
    for row in document["results"]:
        for wrong in ({**row, "surprise": 1}, {**row, "errno": "13"}, {**row, "attempts": []}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.Draft202012Validator(SCHEMAS["verifier-log-watch"]).validate(
                    {**document, "results": [wrong]}
                )


def test_every_load_has_a_row(capsys: Capsys) -> None:
    rows = check_command(capsys, "verifier-log-watch", "verifier-log", "watch", *SHORT)["results"]
    by_time = sorted(rows, key=lambda row: row["time"])
    assert [row["errno"] for row in by_time] == ["EACCES", "EPERM", "EACCES", None]
    assert [len(row["attempts"]) for row in by_time] == [2, 1, 1, 1]
    assert [row["log"]["source"] for row in by_time] == ["loader", None, None, None]
    assert [row["log"]["missing"] for row in by_time] == [None, None, "room", None]
    first = by_time[0]
    assert (first["pid"], first["tid"], first["uid"], first["gid"]) == (4242, 4243, 1001, 1000)
    assert (first["comm"], first["prog_name"], first["prog_type"], first["expected_attach_type"]) == (
        "loader",
        "prog",
        "xdp",
        "xdp",
    )
    assert first["cgroup"]["container"] == "0123456789abcdef" * 4
    assert (first["duration_ns"], first["insn_cnt"], first["compat"]) == (1_000_000, 2, False)
    assert first["log"]["text"] == LOG.decode()
    assert first["diagnosis"][0]["message"] == "R2 !read_ok"
    assert by_time[3]["diagnosis"] == []


def test_people_see_who_loads_what(capsys: Capsys) -> None:
    code, out, err = run(capsys, *SHORT)
    assert code == ExitCode.OK
    first, second, *_ = out.splitlines()
    assert first[15:] == (
        f" loader/4242 uid:1001 {'0123456789abcdef' * 4} xdp/xdp 'prog' 2 insns: EACCES after 1.0 ms in 2 attempts"
    )
    assert second == "    Register Type Safety: Unreadable register at insn 0: R2 !read_ok"
    assert f"the first {len(LOG)} of {len(LOG)} bytes of the log are missing: lost, too much at once" in out
    assert "accepted after 1.0 ms" in out
    assert "\x1b" not in out
    assert r"'\x1b[31m'" in out
    assert r"\x1b[2J/4242" in out
    assert "without a name" in out
    assert "watching loads of BPF programs; Ctrl-C ends" in err
    assert "4 reports; loads: 7 seen, 5 reported, 2 dropped, 3 filtered" in err


def test_explain_shows_the_whole_explanation(capsys: Capsys) -> None:
    _, out, _ = run(capsys, "--explain", *SHORT)
    assert "    error[Register Type Safety]: Unreadable register" in out


def test_count_ends_the_watch(capsys: Capsys) -> None:
    for args in (("--once",), ("--count", "1")):
        code, out, err = run(capsys, *args)
        assert code == ExitCode.OK
        assert len([line for line in out.splitlines() if line[0] != " "]) == 1
        assert "done: 1 report; loads: 7 seen, 2 reported, 5 dropped" in err


def test_options_reach_the_kernel(capsys: Capsys) -> None:
    run(
        capsys,
        "--all",
        "--pid",
        "7",
        "--comm",
        "x",
        "--type",
        "BPF_PROG_TYPE_XDP",
        "--max-log",
        "2m",
        "--reload",
        *SHORT,
    )
    assert FakeWatch.asked == {"max_log": 2 << 20, "reload": True, "filters": LoadFilter(True, 7, "x", 6)}
    run(capsys, *SHORT)
    assert FakeWatch.asked == {"max_log": 256 << 10, "reload": False, "filters": LoadFilter()}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--max-log", "17M"], "'17M' is no number of bytes up to 16M"),
        (["--max-log", "-1"], "'-1' is no number of bytes up to 16M"),
        (["--max-log", "1G"], "'1G' is no number of bytes up to 16M"),
        (["--type", "xpd"], "program type 'xpd': not known; did you mean 'xdp'?"),
        (["--once", "--count", "3"], "--once is the same as --count 1"),
        (["--count", "0"], "0 is not in the range"),
        (["--duration", "0"], "0 is not in the range"),
        (["--pid", "x"], "'x' is not a valid integer range"),
    ],
)
def test_wrong_usage_is_one_line(capsys: Capsys, args: list[str], said: str) -> None:
    code, out, err = run(capsys, *args)
    assert (code, out) == (ExitCode.CANNOT_RUN, "")
    assert said in err
    assert err.count("\n") == 1


def test_enumerations_are_those_of_the_code() -> None:
    schema = SCHEMAS["verifier-log-watch"]
    log = schema["$defs"]["verifier_captured_log"]["properties"]
    assert log["source"]["enum"] == [*LogSource, None]
    assert log["missing"]["enum"] == [*records.MISSING[1:], None]
    assert schema["properties"]["summary"]["properties"]["ended"]["enum"] == list(verifier_watch.ENDINGS)
    assert bpf.PROG_TYPES[verifier_watch.CGROUP_SKB] == "cgroup_skb"


def test_a_machine_whose_registers_are_not_known_is_an_error(
    monkeypatch: pytest.MonkeyPatch, real_watch: type[watch.LoadWatch]
) -> None:
    monkeypatch.setattr(watch, "MACHINE", "sparc64")
    with pytest.raises(Error, match=r"where sparc64 keeps the arguments of bpf\(2\) is not known here"):
        real_watch(0)


def test_missing_privilege_is_an_error(monkeypatch: pytest.MonkeyPatch, real_watch: type[watch.LoadWatch]) -> None:
    monkeypatch.setattr(watch, "MACHINE", "x86_64")
    monkeypatch.setattr(host, "effective_capabilities", frozenset)
    with pytest.raises(Error, match=r"loads of BPF programs: Operation not permitted \(EPERM\); needs CAP_BPF"):
        real_watch(0)
