# SPDX-License-Identifier: GPL-2.0-or-later
"""Readers of what -o prometheus, nrpe, github and sarif print, as strict as those who read it in earnest."""

from __future__ import annotations

import json
import re
from typing import Any

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (-?[0-9]+(?:\.[0-9]+)?)")
PLUGIN = re.compile(
    r"KPROBE-TOOL (?P<state>OK|WARNING|CRITICAL|UNKNOWN): (?P<text>[^|\n]+)"
    r"(?:\|(?P<figures>[a-z_]+=[0-9]+(?: [a-z_]+=[0-9]+)*))?"
)

Samples = dict[str, list[tuple[dict[str, str], float]]]


def prometheus(text: str) -> Samples:
    """The samples of the text format (version 0.0.4), by metric. Fails on anything else."""
    assert text.endswith("\n")
    samples: Samples = {}
    described: list[str] = []
    kinds: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            found = re.fullmatch(rf"# HELP ({NAME}) \S.*", line)
            assert found, line
            described.append(found[1])
            continue
        if line.startswith("# TYPE "):
            found = re.fullmatch(rf"# TYPE ({NAME}) gauge", line)
            assert found, line
            kinds.append(found[1])
            samples[found[1]] = []
            continue
        found = SAMPLE.fullmatch(line)
        assert found, line
        name, inside, value = found.groups()
        # All samples of a metric stand together, behind what describes it.
        assert kinds[-1] == described[-1] == name
        samples[name].append((labels(inside or ""), float(value)))
    assert len(set(kinds)) == len(kinds) and kinds == described
    for name, found_samples in samples.items():
        keys = [tuple(sorted(each.items())) for each, _ in found_samples]
        assert len(set(keys)) == len(keys), f"{name}: the same sample twice"
    return samples


def labels(inside: str) -> dict[str, str]:
    found = LABEL.findall(inside)
    assert "".join(f'{name}="{value}",' for name, value in found).rstrip(",") == inside.rstrip(",")
    return {name: re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), value) for name, value in found}


def nrpe(text: str) -> tuple[str, dict[str, int], list[str]]:
    """State, figures and further lines of a plugin's output."""
    first, *rest = text.splitlines()
    found = PLUGIN.fullmatch(first)
    assert found, first
    assert not any("|" in line for line in rest)
    figures = dict(pair.split("=") for pair in (found["figures"] or "").split())
    return found["state"], {name: int(value) for name, value in figures.items()}, rest


ANNOTATION = re.compile(r"::(?P<level>error|warning) (?P<properties>[^:]*)::(?P<text>.*)")


def github(line: str) -> tuple[str, dict[str, str], str]:
    """Level, properties and text of a workflow command."""
    found = ANNOTATION.fullmatch(line)
    assert found, line
    properties = dict(pair.split("=", 1) for pair in found["properties"].split(","))
    assert set(properties) <= {"file", "line", "col", "title"}
    return found["level"], {name: unquote(value) for name, value in properties.items()}, unquote(found["text"])


def unquote(text: str) -> str:
    for code, char in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, char)
    return text


def sarif(text: str) -> list[dict[str, Any]]:
    """The results of a SARIF log: of every rule that is named, and with places that are whole.

    The properties are those that the schema of SARIF 2.1.0 has for each object; it allows no others.
    """
    log = json.loads(text)
    assert set(log) <= {"$schema", "version", "runs", "inlineExternalProperties", "properties"}
    assert log["version"] == "2.1.0"
    assert log["$schema"].startswith("https://docs.oasis-open.org/sarif/")
    (run,) = log["runs"]
    assert set(run) <= {"tool", "results", "columnKind", "artifacts", "invocations", "properties"}
    assert run["columnKind"] in {"utf16CodeUnits", "unicodeCodePoints"}
    assert set(run["tool"]["driver"]) <= {"name", "version", "informationUri", "rules", "semanticVersion"}
    assert run["tool"]["driver"]["name"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    for result in run["results"]:
        assert set(result) <= {"ruleId", "level", "message", "locations"}
        assert result["ruleId"] in rules
        assert result["level"] in {"error", "warning"}
        assert result["message"]["text"]
        for location in result.get("locations", []):
            place = location["physicalLocation"]
            assert place["artifactLocation"]["uri"]
            assert place["region"]["startLine"] >= 1
    results: list[dict[str, Any]] = run["results"]
    return results
