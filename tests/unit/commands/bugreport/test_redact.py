# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing of a bug report names the host or its peers, and all the rest stays."""

from __future__ import annotations

import json

import pytest

from kprobe_tool.cli import run
from kprobe_tool.commands.bugreport.redact import Redactor
from kprobe_tool.errors import ExitCode
from kprobe_tool.probes import host


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("on web1.example.org, web1 and WEB1", "on HOST, HOST and HOST"),
        ("web12, web1-db and aweb1 are others", "web12, web1-db and aweb1 are others"),
        ("10.0.0.1 to 10.0.0.2 and 10.0.0.1:443", "ADDRESS-1 to ADDRESS-2 and ADDRESS-1:443"),
        ("::ffff:10.0.0.1, fe80::1/64, 2001:db8::7", "ADDRESS-1, ADDRESS-2/64, ADDRESS-3"),
        ("127.0.0.1, ::1, 0.0.0.0, ::", "127.0.0.1, ::1, 0.0.0.0, ::"),
        ("02:42:ac:11:00:02 at 11:52:03", "ADDRESS-1 at 11:52:03"),
        ("traddr=nn-0x10000090fa942779:pn-0x10000090fa942780", "traddr=ADDRESS-1:ADDRESS-2"),
        ("nqn.2014-08.org.nvmexpress:uuid:0001,hostnqn=NQN.2024-01.com.x:a", "NQN-1,hostnqn=NQN-2"),
        ("Linux 6.1.0-34, bpf::x and 300.1.1.1", "Linux 6.1.0-34, bpf::x and 300.1.1.1"),
    ],
)
def test_names_and_addresses_are_redacted(text: str, redacted: str) -> None:
    assert Redactor("web1.example.org").text(text) == redacted


def test_same_name_same_word() -> None:
    redact = Redactor("(none)")
    first, second = redact.rows([{"id": "10.0.0.1", "x": ["10.0.0.1"]}, {"id": "a", "x": {"10.0.0.2": "10.0.0.1"}}])
    assert (first, second) == (
        {"id": "10.0.0.1", "x": ["ADDRESS-1"]},
        {"id": "a", "x": {"ADDRESS-2": "ADDRESS-1"}},
    )


def test_a_host_name_that_is_one_of_our_words_redacts_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    who = host.identity()
    monkeypatch.setattr(host, "identity", lambda: {**who, "hostname": "unknown"})
    assert run(["bugreport", "-o", "json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert document["host"]["hostname"] == "HOST"
    assert document["host"]["boot_id"] is None
    assert {row["status"] for row in document["results"]} <= {"ok", "affected", "not-applicable", "unknown"}
