# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON Schemas are what the program writes: no more, and no less."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from kprobe_tool import checks
from kprobe_tool.cli import run
from kprobe_tool.commands.rds_info import command as rds_command
from kprobe_tool.commands.rds_info.command import Selection, document_of, with_deltas
from kprobe_tool.commands.skmsg import rows as skmsg_rows
from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.native import rds_info
from kprobe_tool.native.kmod import AliasTarget
from kprobe_tool.native.netns import Netns
from kprobe_tool.native.procfs import Process
from kprobe_tool.native.rds import InfoAnswer
from kprobe_tool.native.records import be16, be32, in6_addr
from kprobe_tool.probes import host
from kprobe_tool.probes.doctor import Works
from kprobe_tool.probes.nvme.request import RequestSource
from kprobe_tool.probes.nvme.split import HCTX_TYPES, Algorithm
from kprobe_tool.probes.nvme.types import TypeSource
from kprobe_tool.probes.rds import checks as rds_checks
from kprobe_tool.probes.rds import experiment, judge, lists, savefile
from kprobe_tool.probes.rds import presence as presence_module
from kprobe_tool.probes.rds.ask import Capture, Reading
from kprobe_tool.probes.rds.experiment import DeliveryAttempt, IsolationExperiment, OptionAnswer
from kprobe_tool.probes.rds.filter import InfoFilter
from kprobe_tool.probes.rds.presence import Presence
from kprobe_tool.probes.skmsg import cases as skmsg_cases
from kprobe_tool.probes.skmsg import experiment as skmsg_experiment
from kprobe_tool.probes.skmsg import judge as skmsg_judge
from kprobe_tool.probes.verifier.diagnosis import LogOutcome, LostPart
from kprobe_tool.report import json as report_json

from ..corpus import LOGS

Json = dict[str, Any]
Capsys = pytest.CaptureFixture[str]

SCHEMAS: dict[str, Json] = {
    Path(file.name).stem: json.loads(file.read_text(encoding="utf-8"))
    for file in sorted(files("kprobe_tool").joinpath("schemas").iterdir(), key=lambda file: file.name)
}
SKMSG = sorted((Path(__file__).parent / "data" / "skmsg").glob("*.json"))
"""What the tests of skmsg check saw on real kernels."""
CAPTURES = sorted((Path(__file__).parent / "data" / "rds").glob("*.json"))
"""Files of ``rds-info --save`` from real kernels."""

INSTRUCTIONS = Path(__file__).parent / "data" / "verifier" / "exit.hex"
OBJECT = Path(__file__).parent / "data" / "verifier" / "null-check.o"
VERIFIER_LOG = Path(__file__).parent / "data" / "verifier" / "null-check-6.18.txt"
REPORTS = Path(__file__).parent / "data" / "fleet"

COMMAND_LINES = {
    "audit": ["audit"],
    "audit-list": ["audit", "--list"],
    "bugreport": ["bugreport"],
    "check-fields": ["check-fields", "openat2"],
    "doctor": ["doctor"],
    "explain": ["explain", "rds-bind-netns"],
    "fleet": ["fleet", str(REPORTS)],
    "nvme-queues": ["nvme-queues"],
    "nvme-queues-simulate": ["nvme-queues", "--simulate", "io=4,write=2,poll=2,granted=3"],
    "rds-info": ["rds-info"],
    "rds-info-leak-check": ["rds-info", "--leak-check"],
    "skmsg-check": ["skmsg", "check"],
    "skmsg-watch": ["skmsg", "watch", "--duration", "0.001"],
    "schema": ["schema"],
    "verifier-log-stats": ["verifier-log", "stats", str(LOGS / "7.3-rc7" / "accepted-with-branches.stats2.txt")],
    "verifier-log-load": ["verifier-log", "load", str(INSTRUCTIONS), "--raw", "--type", "xdp"],
    "verifier-log-explain": ["verifier-log", "explain", str(VERIFIER_LOG)],
    "verifier-log-floor": ["verifier-log", "floor", str(OBJECT)],
    "verifier-log-watch": ["verifier-log", "watch", "--duration", "0.001"],
}

pytestmark = pytest.mark.usefixtures("sk_msg", "rejected")
LIVE = {"skmsg-watch", "verifier-log-watch"}
"""Commands that watch: what they know at the end only is the last line of jsonl."""

of_schemas = pytest.mark.parametrize("name", SCHEMAS)
of_commands = pytest.mark.parametrize("name", COMMAND_LINES)


def check(schema: Json, instance: object) -> None:
    """Raises ValidationError, about the most telling of what is wrong."""
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(instance)


def part(schema: Json, of_part: Json) -> Json:
    """A part of a schema as one that stands alone."""
    return {"$schema": schema["$schema"], "$defs": schema["$defs"], **of_part}


def is_live(schema: Json) -> bool:
    return schema["$id"].split(":")[-2] in LIVE


def header(schema: Json) -> Json:
    """The schema of a document without its rows and errors, and what a live one knows at the end only."""
    rest = {"results", "errors", *(["summary"] if is_live(schema) else [])}
    return {
        **schema,
        "properties": {key: value for key, value in schema["properties"].items() if key not in rest},
        "required": [key for key in schema["required"] if key not in rest],
    }


def check_lines(schema: Json, lines: Sequence[str]) -> None:
    """The lines of ``-o jsonl``: a header, rows, errors, and the summary of a live command."""
    parts = {
        "header": header(schema),
        "result": part(schema, schema["properties"]["results"]["items"]),
        "error": part(schema, schema["properties"]["errors"]["items"]),
        **({"summary": part(schema, schema["properties"]["summary"])} if is_live(schema) else {}),
    }
    types = []
    for line in lines:
        instance = json.loads(line)
        types.append(instance.pop("type"))
        check(parts[types[-1]], instance)
    assert types[0] == "header"
    assert types[1:] == sorted(types[1:], key=["result", "error", "summary"].index)
    assert types.count("summary") == ("summary" in parts)


def asked(capsys: Capsys, *args: str) -> str:
    """What a command line writes to stdout; it must have been able to run."""
    capsys.readouterr()
    code = run(list(args))
    out, err = capsys.readouterr()
    assert code in {ExitCode.OK, ExitCode.FOUND, ExitCode.CANNOT_TELL}, err
    return out


def check_command(capsys: Capsys, name: str, *args: str) -> Json:
    """Both forms of a command's document against its schema; the document itself."""
    document: Json = json.loads(asked(capsys, *args, "-o", "json"))
    check(SCHEMAS[name], document)
    lines = asked(capsys, *args, "-o", "jsonl").splitlines()
    check_lines(SCHEMAS[name], lines)
    assert len(lines) == 1 + len(document["results"]) + len(document["errors"]) + is_live(SCHEMAS[name])
    return document


def subschemas(schema: Any, *, conditions: bool = True) -> Iterator[Json]:
    """A schema and all below it; those of ``if`` describe nothing."""
    if isinstance(schema, dict):
        yield schema
        for keyword, value in schema.items():
            if keyword in {"properties", "$defs"}:
                for below in value.values():
                    yield from subschemas(below, conditions=conditions)
            elif keyword not in {"const", "enum"} and (conditions or keyword != "if"):
                yield from subschemas(value, conditions=conditions)
    elif isinstance(schema, list):
        for below in schema:
            yield from subschemas(below, conditions=conditions)


@of_schemas
def test_schema_is_valid(name: str) -> None:
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$schema"]
    assert schema["$id"] == f"urn:kprobe-tool:schema:{name}:1"


@of_schemas
def test_every_property_is_described(name: str) -> None:
    for schema in subschemas(SCHEMAS[name], conditions=False):
        for key, value in schema.get("properties", {}).items():
            assert value.get("description", "").endswith("."), key


@of_schemas
def test_objects_are_closed(name: str) -> None:
    """What has properties allows no others, but for a condition's: those narrow the object they stand in."""
    conditional = {
        id(condition.get(keyword))
        for condition in subschemas(SCHEMAS[name])
        for keyword in ("if", "then", "else")
        if keyword in condition
    }
    for schema in subschemas(SCHEMAS[name]):
        if "properties" in schema and id(schema) not in conditional:
            assert schema["additionalProperties"] is False, list(schema["properties"])
            assert set(schema["required"]) <= set(schema["properties"])


@of_schemas
def test_references_are_within_the_file(name: str) -> None:
    schema = SCHEMAS[name]
    used = {below["$ref"] for below in subschemas(schema) if "$ref" in below}
    assert used == {f"#/$defs/{key}" for key in schema["$defs"]}


def test_shared_definitions_are_the_same() -> None:
    definitions: Json = {}
    for schema in SCHEMAS.values():
        for key, value in schema["$defs"].items():
            assert definitions.setdefault(key, value) == value, key


def test_enumerations_are_those_of_the_code() -> None:
    finding = SCHEMAS["audit"]["$defs"]["finding"]["properties"]
    assert finding["status"]["enum"] == list(checks.Status)
    assert finding["method"]["enum"] == list(checks.Method)
    assert finding["severity"]["enum"] == list(checks.Severity)
    option = SCHEMAS["rds-info-leak-check"]["$defs"]["option"]["properties"]
    assert option["outcome"]["enum"] == list(judge.Isolation)
    assert option["optname"]["enum"] == list(rds_info.OPTIONS)
    assert SCHEMAS["rds-capture"]["$defs"]["answer"]["properties"]["optname"]["enum"] == list(rds_info.OPTIONS)
    symbols = SCHEMAS["audit"]["$defs"]["leak_evidence"]["properties"]["symbols_of_unfixed_kernels"]
    assert symbols["items"]["enum"] == list(experiment.SYMBOLS)
    nvme = SCHEMAS["nvme-queues"]
    assert nvme["$defs"]["asked"]["properties"]["source"]["enum"] == [*RequestSource, None]
    assert nvme["$defs"]["path"]["properties"]["type_source"]["enum"] == [*TypeSource, None]
    assert nvme["$defs"]["hctx"]["properties"]["type"]["enum"] == [*HCTX_TYPES, None]
    assert nvme["$defs"]["queue_finding"]["properties"]["severity"]["enum"] == list(checks.Severity)
    assert nvme["properties"]["algorithm"]["enum"] == [*Algorithm, None]
    simulation = SCHEMAS["nvme-queues-simulate"]["$defs"]["simulation"]["properties"]
    assert simulation["algorithm"]["enum"] == list(Algorithm)
    sent = SCHEMAS["skmsg-check"]["$defs"]
    assert sent["skmsg_result"]["properties"]["test"]["enum"] == [case.name for case in skmsg_cases.CASES]
    assert sent["skmsg_result"]["properties"]["socket"]["enum"] == list(skmsg_cases.SocketKind)
    assert sent["skmsg_result"]["properties"]["outcome"]["enum"] == list(skmsg_judge.CaseOutcome)
    assert sent["skmsg_result"]["properties"]["check"]["enum"] == [
        check.id for check in checks.CHECKS if check.system == "skmsg"
    ]
    assert sent["skmsg_element"]["properties"]["page"]["enum"] == list(skmsg_rows.PAGES)
    presence = SCHEMAS["rds-info"]["$defs"]["presence"]["properties"]
    assert presence["modules"]["items"]["enum"] == list(presence_module.MODULES)
    verifier = SCHEMAS["verifier-log-explain"]["$defs"]
    assert verifier["diagnosis"]["properties"]["outcome"]["enum"] == list(LogOutcome)
    assert verifier["truncation"]["properties"]["lost"]["enum"] == list(LostPart)
    assert SCHEMAS["doctor"]["$defs"]["command"]["properties"]["works"]["enum"] == list(Works)
    rows = SCHEMAS["rds-info"]["properties"]["results"]["items"]["oneOf"]
    sources = [row["$ref"].removeprefix("#/$defs/").removesuffix("_row") for row in rows]
    assert sources == list(lists.LISTS)
    assert list(SCHEMAS["rds-info"]["properties"]["sources"]["properties"]) == sources
    for source in sources:
        assert SCHEMAS["rds-info"]["$defs"][f"{source}_row"]["properties"]["source"]["const"] == source


@of_commands
def test_this_host(name: str, capsys: Capsys) -> None:
    check_command(capsys, name, *COMMAND_LINES[name])


@of_commands
def test_what_is_not_ours_is_refused(name: str, capsys: Capsys) -> None:
    document = json.loads(asked(capsys, *COMMAND_LINES[name], "-o", "json"))
    error = {"subject": "x", "reason": "x", "errno": "EPERM", "hint": None}
    check(SCHEMAS[name], {**document, "errors": [error]})
    for wrong in (
        {**document, "surprise": 1},
        {**document, "schema_version": 2},
        {**document, "host": {**document["host"], "surprise": 1}},
        {**document, "host": {**document["host"], "time": "yesterday"}},
        {**document, "errors": [{**error, "errno": 1}]},
        {**document, "results": [{"surprise": 1}]},
        {key: value for key, value in document.items() if key != "host"},
    ):
        with pytest.raises(ValidationError):
            check(SCHEMAS[name], wrong)


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
def test_capture(answers: Sequence[InfoAnswer], leaking: bool, tmp_path: Path, capsys: Capsys) -> None:
    path = str(tmp_path / "capture.json")
    savefile.save(path, capture_of(answers, leaking=leaking), host.identity())
    check(SCHEMAS["rds-capture"], json.loads(Path(path).read_text(encoding="utf-8")))
    document = check_command(capsys, "rds-info", "rds-info", "--from", path)
    assert {row["source"] for row in document["results"]} == set(lists.LISTS)
    for row in document["results"]:
        for wrong in ({**row, "surprise": 1}, {**row, "source": "x"}, {**row, "netns": 1}):
            with pytest.raises(ValidationError):
                check(SCHEMAS["rds-info"], {**document, "results": [wrong]})


def test_watch() -> None:
    selection = Selection((), False, (), rds_command.SOURCES, InfoFilter())
    more = {"rds": Presence(True, ("rds",), None).evidence()}
    document = document_of(capture_of(NEWER, leaking=False), host.identity(), selection, more)
    previous: dict[str, int] = {}
    for delta in (None, 0):
        instance = json.loads("\n".join(report_json.render(with_deltas(document, selection.wanted, previous))))
        check(SCHEMAS["rds-info"], instance)
        assert [row["delta"] for row in instance["results"] if row["source"] == "counters"] == [delta]


EVERY_OUTCOME = {
    # What the observer saw, and how many rows were there to be seen.
    "RDS_INFO_COUNTERS": (OptionAnswer(1, 0, 1), 1),
    "RDS_INFO_CONNECTIONS": (OptionAnswer(2, 0, 2), 1),
    "RDS_INFO_RECV_MESSAGES": (OptionAnswer(0, 0, 1), 1),
    "RDS6_INFO_SOCKETS": (OptionAnswer(1, 1, 1), 1),
    "RDS_INFO_IB_CONNECTIONS": (OptionAnswer(errno="ENOPROTOOPT"), 0),
    "RDS_INFO_SEND_MESSAGES": (OptionAnswer(errno="EPERM"), 0),
    "RDS_INFO_RETRANS_MESSAGES": (OptionAnswer(), 0),
}


def experiment_of(
    answers: dict[str, tuple[OptionAnswer, int]],
    delivery: DeliveryAttempt,
    bind_errno: str | None,
    symbols: dict[str, str | None] | None,
) -> IsolationExperiment:
    return IsolationExperiment(
        {name: answer for name, (answer, _) in answers.items()},
        {name: rows for name, (_, rows) in answers.items()},
        delivery,
        bind_errno,
        symbols,
        "made",
    )


EXPERIMENTS = {
    "everything": experiment_of(
        EVERY_OUTCOME, DeliveryAttempt(True, None, 0, True, True), "EADDRINUSE", {"rds_sock_count": "rds"}
    ),
    "nothing": experiment_of(
        {"RDS_INFO_SOCKETS": (OptionAnswer(errno="EPERM"), 0)},
        DeliveryAttempt(False, "EPERM", None, False, False),
        "EPERM",
        None,
    ),
    "isolated": experiment_of(
        {"RDS6_INFO_SOCKETS": (OptionAnswer(1, 1, 1), 1)}, DeliveryAttempt(False, None, 0, True, True), None, {}
    ),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_leak_check(name: str, monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    loaded = Presence(True, ("rds", "rds_tcp"), None)
    monkeypatch.setattr(presence_module, "presence", lambda: loaded)
    monkeypatch.setattr(rds_checks, "presence", lambda: loaded)
    monkeypatch.setattr(experiment, "attempt", lambda: EXPERIMENTS[name])
    document = check_command(capsys, "rds-info-leak-check", "rds-info", "--leak-check")
    assert len(document["results"]) == len(EXPERIMENTS[name].observed)
    audit = check_command(capsys, "audit", "audit")
    assert [row for row in audit["results"] if row["system"] == "rds"] == document["findings"]
    for finding in document["findings"]:
        for wrong in (
            {**finding, "evidence": {"surprise": 1}},
            {**finding, "status": "fine"},
            {**finding, "settle": None if finding["settle"] else "x"},
        ):
            with pytest.raises(ValidationError):
                check(SCHEMAS["audit"], {**audit, "results": [wrong]})


def test_every_outcome_is_tried() -> None:
    assert {result.outcome for result in judge.judge_options(EXPERIMENTS["everything"])} == set(judge.Isolation)


def test_leak_check_that_cannot_be_run(monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    loaded = Presence(True, ("rds",), None)
    monkeypatch.setattr(presence_module, "presence", lambda: loaded)
    monkeypatch.setattr(rds_checks, "presence", lambda: loaded)
    monkeypatch.setattr(experiment, "attempt", lambda: Error("leak check", errno=1, hint="root"))
    document = check_command(capsys, "rds-info-leak-check", "rds-info", "--leak-check")
    assert [error["errno"] for error in document["errors"]] == ["EPERM"]


@pytest.mark.parametrize("path", SKMSG, ids=lambda path: path.stem)
def test_skmsg_check(path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    seen = skmsg_experiment.experiment_of(json.loads(path.read_text(encoding="utf-8")))
    monkeypatch.setattr(skmsg_experiment, "attempt", lambda: seen)
    document = check_command(capsys, "skmsg-check", "skmsg", "check")
    assert len(document["results"]) == 12
    audit = check_command(capsys, "audit", "audit", "--only", "skmsg")
    for row, finding in zip(audit["results"], document["findings"], strict=True):
        assert {name: row[name] for name in finding} == finding
        with pytest.raises(ValidationError):
            check(SCHEMAS["audit"], {**audit, "results": [{**row, "evidence": {"surprise": 1}}]})
    for row in document["results"]:
        for wrong in ({**row, "surprise": 1}, {**row, "outcome": "fine"}, {**row, "evidence": {}}):
            with pytest.raises(ValidationError):
                check(SCHEMAS["skmsg-check"], {**document, "results": [wrong]})


def test_skmsg_checks_that_cannot_be_run(monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    error = Error("BPF on sockets", errno=1, hint="run as root")
    monkeypatch.setattr(skmsg_experiment, "attempt", lambda: error)
    audit = check_command(capsys, "audit", "audit", "--only", "skmsg")
    assert {(row["status"], row["settle"]) for row in audit["results"]} == {("unknown", "run as root")}
    assert run(["skmsg", "check"]) == ExitCode.CANNOT_TELL
    assert capsys.readouterr().err.startswith(
        "kprobe-tool: skmsg check: BPF on sockets: Operation not permitted (EPERM)"
    )


@pytest.mark.parametrize("blocked", [None, "blacklist rds (/etc/modprobe.d/rds.conf)"])
def test_what_a_socket_would_load(blocked: str | None) -> None:
    presence = Presence(False, (), AliasTarget("rds", "/lib/modules/6.12/modules.alias", blocked))
    schema = SCHEMAS["rds-info"]
    check(part(schema, schema["$defs"]["presence"]), presence.evidence())


def test_where_it_cannot_be_found_out_what_a_socket_would_load() -> None:
    presence = Presence(False, (), None, Error("/lib/modules/6.12/modules.alias", errno=2))
    for name in ("rds-info", "rds-info-leak-check", "audit"):
        check(part(SCHEMAS[name], SCHEMAS[name]["$defs"]["presence"]), presence.evidence())


def test_there_are_captures() -> None:
    assert CAPTURES, "no captures of real kernels in tests/unit/data/rds"


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_real_capture(path: Path, capsys: Capsys) -> None:
    savefile.load(str(path))
    check(SCHEMAS["rds-capture"], json.loads(path.read_text(encoding="utf-8")))
    check_command(capsys, "rds-info", "rds-info", "--from", str(path))
