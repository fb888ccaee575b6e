# SPDX-License-Identifier: GPL-2.0-or-later
"""The shape of every document, from its schema: which member has which type.

    python -m tests.unit.shapes

writes it anew to data/golden, where it makes every change of a document visible in review.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kprobe_tool.probes import schemas

GOLDEN = Path(__file__).parent / "data" / "golden"

Json = dict[str, Any]
TYPES = {str: "string", bool: "boolean", int: "integer", type(None): "null"}


def shape(schema: Json) -> dict[str, str]:
    """Path of a member: its types, and the values where these are listed. ``[]`` is each item, ``*`` each name.

    Where an object can be one of several, the name of the definition stands in the path; a ``?`` behind a name says
    that the member can be absent.
    """
    found: dict[str, set[str]] = {}
    for path, kind in members(schema, schema["$defs"], ""):
        found.setdefault(path, set()).add(kind)
    return {path: " | ".join(sorted(kinds)) for path, kinds in found.items()}


def members(schema: Json, definitions: Json, path: str) -> Iterator[tuple[str, str]]:
    if "$ref" in schema:
        yield from members(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions, path)
    for condition in schema.get("allOf", ()):
        yield from members({"properties": condition["then"]["properties"]}, definitions, path)
    alternatives = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    for each in alternatives:
        name = each.get("$ref", "").removeprefix("#/$defs/")
        several = sum("$ref" in other for other in alternatives) > 1
        yield from members(each, definitions, f"{path}<{name}>" if name and several else path)
    for kind in kinds(schema):
        yield path or ".", kind
    required = schema.get("required", ())
    for name, below in schema.get("properties", {}).items():
        mark = "" if name in required or "type" not in schema else "?"
        yield from members(below, definitions, f"{path}.{name}{mark}")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from members(schema["additionalProperties"], definitions, f"{path}.*")
    if "items" in schema:
        yield from members(schema["items"], definitions, f"{path}[]")


def kinds(schema: Json) -> list[str]:
    """The types that a schema names, with the values where it lists them."""
    if "const" in schema:
        return [f"{TYPES[type(schema['const'])]} {json.dumps(schema['const'])}"]
    if "enum" in schema:
        return [f"{TYPES[type(value)]} {json.dumps(value)}" for value in schema["enum"]]
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def shapes() -> dict[str, dict[str, str]]:
    """The shape of each document."""
    return {name: shape(json.loads(schemas.text(name))) for name in schemas.names()}


if __name__ == "__main__":
    for name, found in shapes().items():
        (GOLDEN / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
