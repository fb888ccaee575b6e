# SPDX-License-Identifier: GPL-2.0-or-later
"""What is saved of RDS, and the document that is made of it again."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from jsonschema import ValidationError

from kprobe_tool.commands.rds_info import command as rds_command
from kprobe_tool.commands.rds_info.command import Selection, document_of
from kprobe_tool.commands.rds_info.rows import with_deltas
from kprobe_tool.errors import Error
from kprobe_tool.native import rds_info
from kprobe_tool.native.kmod import AliasTarget
from kprobe_tool.native.netns import Netns
from kprobe_tool.native.procfs import Process
from kprobe_tool.native.rds import InfoAnswer
from kprobe_tool.native.records import be16, be32, in6_addr
from kprobe_tool.probes import host
from kprobe_tool.probes.rds import lists, savefile
from kprobe_tool.probes.rds.ask import Capture, Reading
from kprobe_tool.probes.rds.filter import InfoFilter
from kprobe_tool.probes.rds.presence import Presence
from kprobe_tool.report import json as report_json

from ...documents import (
    CAPTURES,
    SCHEMAS,
    Capsys,
    Json,
    check,
    check_command,
    part,
)


def v4(text: str) -> Any:
    return be32(*socket.inet_pton(socket.AF_INET, text))


def v6(text: str) -> Any:
    return in6_addr(*socket.inet_pton(socket.AF_INET6, text))


def port(number: int) -> Any:
    return be16(*number.to_bytes(2, "big"))


def answer(optname: str, *rows: Json, cut: int = 0) -> InfoAnswer:
    """A kernel's answer; ``cut`` bytes are missing at the end of each row, as on older kernels."""
    option = rds_info.OPTIONS[optname]
    raw = [bytes(option.struct(**row)) for row in rows]
    size = len(bytes(option.struct())) - cut
    return InfoAnswer(option, size, b"".join(row[:size] for row in raw))


MAX64 = 2**64 - 1
NEWER = (
    answer(
        "RDS6_INFO_SOCKETS",
        {"bound_addr": v6("::ffff:10.0.0.1"), "bound_port": port(5001), "inum": 77, "sndbuf": 1},
        {"inum": MAX64},
    ),
    answer(
        "RDS6_INFO_CONNECTIONS",
        {"laddr": v6("fd00::1"), "faddr": v6("fd00::2"), "transport": b"tcp", "flags": 5, "next_tx_seq": MAX64},
        {"laddr": v6("::ffff:10.0.0.1"), "faddr": v6("::ffff:10.0.0.2"), "transport": b"tcp", "flags": 8},
    ),
    answer(
        "RDS_INFO_CONNECTIONS",
        {"laddr": v4("10.0.0.1"), "faddr": v4("10.0.0.2"), "transport": b"tcp", "flags": 8, "tos": 3},
    ),
    answer("RDS6_INFO_TCP_SOCKETS", {"local_port": port(16385), "hdr_rem": 48, "last_seen_una": 2**32 - 1}),
    answer("RDS6_INFO_IB_CONNECTIONS", {"src_gid": v6("fe80::1"), "tos": 5, "sl": 1, "cache_allocs": 4}),
    answer("RDS6_INFO_SEND_MESSAGES", {"laddr": v6("::ffff:10.0.0.1"), "lport": port(5001), "seq": 1, "len": 9}),
    answer("RDS6_INFO_RETRANS_MESSAGES", {"laddr": v6("fd00::1"), "lport": port(1)}),
    answer("RDS6_INFO_RECV_MESSAGES", {"laddr": v6("::ffff:10.0.0.1"), "lport": port(5001)}),
    answer("RDS_INFO_COUNTERS", {"name": b"conn_reset", "value": MAX64}),
)
"""Every source, as a kernel with IPv6 tells it."""
OLDER = (
    answer("RDS_INFO_SOCKETS", {"bound_addr": v4("10.0.0.1"), "bound_port": port(5001), "inum": 77}),
    answer("RDS_INFO_CONNECTIONS", {"laddr": v4("10.0.0.1"), "transport": b"loopback", "flags": 2}, cut=1),
    answer("RDS_INFO_TCP_SOCKETS", {"peer_addr": v4("10.0.0.2")}, cut=1),
    answer("RDS_INFO_IB_CONNECTIONS", {"dst_addr": v4("10.0.0.2")}, cut=8),
    answer("RDS_INFO_SEND_MESSAGES", {"lport": port(5001)}, cut=1),
    answer("RDS_INFO_RETRANS_MESSAGES", {"lport": port(5001)}, cut=1),
    answer("RDS_INFO_RECV_MESSAGES", {"laddr": v4("10.0.0.1"), "lport": port(5001)}, cut=1),
    answer("RDS_INFO_COUNTERS", {"name": b"conn_reset", "value": 0}),
)
"""The same from before IPv6 and the type of service."""


def capture_of(answers: Sequence[InfoAnswer], *, leaking: bool) -> Capture:
    here, blue = Netns(4, 4026531840, pid=1), Netns(4, 4026532000, name="blue")
    by_name = {item.option.name: item for item in answers}
    failures = {name: "ENOPROTOOPT" for name in rds_info.OPTIONS if name not in by_name}
    return Capture(
        readings=[Reading(None if leaking else here, by_name, failures, frozenset({5}))],
        selected=[here, blue],
        leaking=leaking,
        local_addresses={blue.inode: frozenset({"fd00::1", "127.0.0.1"})} if leaking else {},
        holders={77: [Process(7, "server", blue.inode), Process(8, "\\x1b", None)]},
        errors=[Error("RDS_INFO_FLOWS", "odd", errno=5), Error("a", "b", hint="c")] if leaking else [],
    )


@pytest.mark.parametrize("leaking", [False, True], ids=["isolated", "leaking"])
@pytest.mark.parametrize("answers", [NEWER, OLDER], ids=["newer", "older"])
def test_a_capture_and_its_document_fit_their_schemas(
    answers: Sequence[InfoAnswer], leaking: bool, tmp_path: Path, capsys: Capsys
) -> None:
    path = str(tmp_path / "capture.json")
    savefile.save(path, capture_of(answers, leaking=leaking), host.identity())
    check(SCHEMAS["rds-capture"], json.loads(Path(path).read_text(encoding="utf-8")))
    document = check_command(capsys, "rds-info", "rds-info", "--from", path)
    assert {row["source"] for row in document["results"]} == set(lists.LISTS)
    for row in document["results"]:
        for wrong in ({**row, "surprise": 1}, {**row, "source": "x"}, {**row, "netns": 1}):
            with pytest.raises(ValidationError):
                check(SCHEMAS["rds-info"], {**document, "results": [wrong]})


def test_a_watched_counter_has_its_delta() -> None:
    selection = Selection((), False, (), rds_command.SOURCES, InfoFilter())
    more = {"rds": Presence(True, ("rds",), None).evidence()}
    document = document_of(capture_of(NEWER, leaking=False), host.identity(), selection, more)
    previous: dict[str, int] = {}
    for delta in (None, 0):
        watched = document._replace(tables=with_deltas(document.tables, previous))
        instance = json.loads("\n".join(report_json.render(watched)))
        check(SCHEMAS["rds-info"], instance)
        assert [row["delta"] for row in instance["results"] if row["source"] == "counters"] == [delta]


@pytest.mark.parametrize("blocked", [None, "blacklist rds (/etc/modprobe.d/rds.conf)"])
def test_evidence_of_an_autoload_fits_the_schema(blocked: str | None) -> None:
    presence = Presence(False, (), AliasTarget("rds", "/lib/modules/6.12/modules.alias", blocked))
    schema = SCHEMAS["rds-info"]
    check(part(schema, schema["$defs"]["presence"]), presence.evidence())


def test_evidence_of_an_unknown_autoload_fits_the_schemas() -> None:
    presence = Presence(False, (), None, Error("/lib/modules/6.12/modules.alias", errno=2))
    for name in ("rds-info", "rds-info-leak-check", "audit"):
        check(part(SCHEMAS[name], SCHEMAS[name]["$defs"]["presence"]), presence.evidence())


def test_there_are_captures() -> None:
    assert CAPTURES, "no captures of real kernels in tests/unit/data/rds"


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_captures_of_real_kernels_fit_their_schemas(path: Path, capsys: Capsys) -> None:
    savefile.load(str(path))
    check(SCHEMAS["rds-capture"], json.loads(path.read_text(encoding="utf-8")))
    check_command(capsys, "rds-info", "rds-info", "--from", str(path))
