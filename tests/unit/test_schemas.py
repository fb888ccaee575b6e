# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON Schemas are what the program writes: no more, and no less."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator, ValidationError

from kprobe_tool import checks
from kprobe_tool.commands.skmsg import rows as skmsg_rows
from kprobe_tool.native import rds_info
from kprobe_tool.probes.doctor import Works
from kprobe_tool.probes.nvme.request import RequestSource
from kprobe_tool.probes.nvme.split import HCTX_TYPES, Algorithm
from kprobe_tool.probes.nvme.types import TypeSource
from kprobe_tool.probes.rds import experiment, judge, lists
from kprobe_tool.probes.rds import presence as presence_module
from kprobe_tool.probes.skmsg import cases as skmsg_cases
from kprobe_tool.probes.skmsg import judge as skmsg_judge
from kprobe_tool.probes.verifier.diagnosis import LogOutcome, LostPart

from .documents import (
    COMMAND_LINES,
    SCHEMAS,
    Capsys,
    Json,
    check,
    check_command,
    run_command,
    subschemas,
)

pytestmark = pytest.mark.usefixtures("sk_msg", "rejected")

of_schemas = pytest.mark.parametrize("name", SCHEMAS)
of_commands = pytest.mark.parametrize("name", COMMAND_LINES)


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
def test_answers_of_this_host_fit_their_schemas(name: str, capsys: Capsys) -> None:
    check_command(capsys, name, *COMMAND_LINES[name])


@of_commands
def test_what_is_not_ours_is_refused(name: str, capsys: Capsys) -> None:
    document = json.loads(run_command(capsys, *COMMAND_LINES[name], "-o", "json"))
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
