# SPDX-License-Identifier: GPL-2.0-or-later
"""The command as a person and as a script meet it, with what kernels told it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import jsonschema
import pytest

from kprobe_tool import cli
from kprobe_tool.commands.skmsg import rows, watch
from kprobe_tool.errors import ExitCode
from kprobe_tool.probes.skmsg.watch import FUNCTIONS, AttachMethod, MessageFilter

from ...documents import SCHEMAS, check_command, check_lines
from ...fake_watch import CAPTURE, Fake

SHORT = ("--duration", "0.001")

Capsys = pytest.CaptureFixture[str]


def run(capsys: Capsys, *args: str) -> tuple[int, str, str]:
    code = cli.run(["skmsg", "watch", *args])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_document_counts_its_rows_and_fits_its_schema(capsys: Capsys) -> None:
    document = check_command(capsys, "skmsg-watch", "skmsg", "watch", *SHORT)
    total = len(CAPTURE["records"])
    assert len(document["results"]) == total
    exposed = [row for row in document["results"] if row["exposed"]]
    assert document["summary"] == {
        "seen": total + 2,
        "emitted": total,
        "dropped": 2,
        "filtered": 7,
        "missed": 0,
        "exposed": len(exposed),
        "ended": "duration",
    }
    assert exposed
    for row in document["results"]:
        for wrong in ({**row, "surprise": 1}, {**row, "hook": "x"}, {**row, "copy": 1}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.Draft202012Validator(SCHEMAS["skmsg-watch"]).validate({**document, "results": [wrong]})


def test_enumerations_are_those_of_the_code() -> None:
    definitions = SCHEMAS["skmsg-watch"]["$defs"]
    functions = [function.name for function in FUNCTIONS]
    assert definitions["hook"]["properties"]["function"]["enum"] == functions
    assert definitions["hook"]["properties"]["method"]["enum"] == list(AttachMethod)
    assert definitions["message"]["properties"]["hook"]["enum"] == functions
    assert definitions["message_element"]["properties"]["page"]["enum"] == list(rows.PAGES)
    ended = SCHEMAS["skmsg-watch"]["properties"]["summary"]["properties"]["ended"]["enum"]
    assert ended == [*watch.ENDINGS, "not-started"]


def test_people_see_messages_and_their_elements(capsys: Capsys) -> None:
    code, out, err = run(capsys, *SHORT)
    assert code == ExitCode.OK
    lines = out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.endswith("EXPOSED"))
    message, element = lines[at : at + 2]
    assert " sk_psock_msg_verdict python3/" in message
    assert message.endswith(" start=0 curr=1 end=1 size=900 copy=0x0 EXPOSED")
    assert "    [0] length=900 offset=200 copy=0 page-cache 0:1:" in element
    assert any("[::1]:" in line for line in lines)
    assert len([line for line in lines if not line.startswith(" ")]) == len(CAPTURE["records"])
    first, last = err.splitlines()
    assert first.startswith("kprobe-tool: skmsg watch: watching sk_psock_msg_verdict, bpf_exec_tx_verdict, ")
    assert last.startswith("kprobe-tool: skmsg watch: --duration is over: ")
    assert last.endswith(" 2 dropped, 7 filtered, 0 missed; 9 with an exposed element")


def test_count_ends_the_watch(capsys: Capsys) -> None:
    _, out, _ = run(capsys, "--count", "3", "-o", "jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["type"] for row in rows] == ["header", "result", "result", "result", "summary"]
    summary = rows[-1]
    assert summary["ended"] == "count"
    assert summary["seen"] == summary["emitted"] + summary["dropped"] == len(CAPTURE["records"]) + 2


def test_options_become_filters(capsys: Capsys) -> None:
    inode = os.stat("/proc/self/ns/net").st_ino
    own = str(os.getpid())
    run(capsys, *SHORT, "--all", "--pid", own, "--netns", own, "--port", "443", "--attach", "fentry")
    run(capsys, *SHORT)
    assert Fake.asked == [
        (MessageFilter(True, os.getpid(), inode, 443), AttachMethod.FENTRY),
        (MessageFilter(), None),
    ]


def test_names_are_escaped(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [record.replace(b"python3".hex(), b"\x1b[31mab".hex()) for record in CAPTURE["records"]]
    monkeypatch.setitem(CAPTURE, "records", records)
    _, out, _ = run(capsys, *SHORT)
    assert "\x1b" not in out
    assert " \\x1b[31mab/" in out


def test_what_cannot_be_watched_is_said(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fake, "unwatched", {"bpf_exec_tx_verdict": "tls is not loaded"})
    code, out, err = run(capsys, *SHORT, "-o", "json")
    document = json.loads(out)
    assert code == ExitCode.OK
    assert document["warnings"] == ["not watched: bpf_exec_tx_verdict: tls is not loaded"]
    assert [hook["function"] for hook in document["hooks"] if not hook["attached"]] == ["bpf_exec_tx_verdict"]
    assert err == "kprobe-tool: skmsg watch: not watched: bpf_exec_tx_verdict: tls is not loaded\n"


@pytest.mark.parametrize("output", ["table", "json", "jsonl"])
def test_a_kernel_that_cannot_be_watched_is_one_line(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.setattr(Fake, "unwatched", {function.name: "it has none" for function in FUNCTIONS})
    code, out, err = run(capsys, "-o", output)
    assert code == ExitCode.CANNOT_TELL
    assert err.count("\n") == 1
    assert "sk_msg: messages cannot be watched: no function that they pass" in err
    if output == "json":
        jsonschema.Draft202012Validator(SCHEMAS["skmsg-watch"]).validate(json.loads(out))
        assert json.loads(out)["summary"]["ended"] == "not-started"
    elif output == "jsonl":
        check_lines(SCHEMAS["skmsg-watch"], out.splitlines())
    else:
        assert out == ""


def test_a_missing_process_is_one_line(capsys: Capsys) -> None:
    code, out, err = run(capsys, "--pid", str(1 << 22))
    assert (code, out) == (ExitCode.CANNOT_RUN, "")
    assert err == "kprobe-tool: skmsg watch: pid 4194304: No such process (ESRCH)\n"


def test_the_target_goes(capsys: Capsys) -> None:
    child = subprocess.Popen(["sleep", "0.3"])
    _, out, _ = run(capsys, "--pid", str(child.pid), "-o", "json")
    child.wait()
    assert json.loads(out)["summary"]["ended"] == "target-gone"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(capsys: Capsys, number: signal.Signals) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", f"import os, time; time.sleep(0.3); os.kill(os.getppid(), {number})"]
    )
    code, _, err = run(capsys, "-o", "table")
    child.wait()
    assert code == 128 + number
    assert "kprobe-tool: skmsg watch: stopped: " in err
