# SPDX-License-Identifier: GPL-2.0-or-later
"""``-o sarif``: annotations as a log of static analysis (OASIS SARIF 2.1.0), which code hosts and editors show."""

from __future__ import annotations

import json
from collections.abc import Iterator

from kprobe_tool import __version__
from kprobe_tool.report.document import Annotation, Document
from kprobe_tool.report.text import escape

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
INFORMATION = "https://www.kernel.org/doc/html/latest/bpf/verifier.html"


def render(document: Document) -> Iterator[str]:
    """One log with one run: each rule once, a result for each annotation."""
    rules = sorted({annotation.rule: annotation.title for annotation in document.annotations}.items())
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "kprobe-tool",
                        "version": __version__,
                        "informationUri": INFORMATION,
                        "rules": [{"id": rule, "shortDescription": {"text": escape(title)}} for rule, title in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [result(annotation) for annotation in document.annotations],
            }
        ],
    }
    yield from json.dumps(log, indent=2, ensure_ascii=False).split("\n")


def result(annotation: Annotation) -> dict[str, object]:
    """One result; without a file it has no location."""
    found: dict[str, object] = {
        "ruleId": annotation.rule,
        "level": annotation.level,
        "message": {"text": "\n".join(map(escape, annotation.text.split("\n")))},
    }
    if annotation.file is not None:
        region = {"startLine": annotation.line or 1}
        if annotation.column:
            region["startColumn"] = annotation.column
        location = {"artifactLocation": {"uri": escape(annotation.file)}, "region": region}
        found["locations"] = [{"physicalLocation": location}]
    return found
