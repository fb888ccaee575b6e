# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON Schemas of all documents, package data."""

from __future__ import annotations

import json
from importlib.resources import files

from kprobe_tool.names import require_name

DIRECTORY = files("kprobe_tool").joinpath("schemas")


def names() -> list[str]:
    return sorted(file.name.removesuffix(".json") for file in DIRECTORY.iterdir())


def text(name: str) -> str:
    """A schema as it is shipped. Raises Error for a document that has none."""
    require_name(name, names(), "document", "'kprobe-tool schema' lists them")
    return DIRECTORY.joinpath(f"{name}.json").read_text(encoding="utf-8")


def rows() -> list[dict[str, object]]:
    """``name title id`` of each."""
    found = {name: json.loads(text(name)) for name in names()}
    return [{"name": name, "title": schema["title"], "id": schema["$id"]} for name, schema in found.items()]
