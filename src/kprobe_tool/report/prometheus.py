# SPDX-License-Identifier: GPL-2.0-or-later
"""``-o prometheus``: gauges in the text format that node_exporter's textfile collector reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kprobe_tool import __version__
from kprobe_tool.report.document import Document, Metric
from kprobe_tool.report.text import escape


def render(document: Document) -> Iterator[str]:
    """The metrics of a document, by lines, and who asked which kernel."""
    labels = {"version": __version__, "release": str(document.host["release"])}
    for metric in (*document.metrics, Metric("kprobe_tool_info", "Which kernel was asked, by whom.", [(labels, 1)])):
        yield f"# HELP {metric.name} {metric.help}"
        yield f"# TYPE {metric.name} gauge"
        for sample, value in metric.samples:
            yield f"{metric.name}{label_set(sample)} {value}"


def label_set(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{quote(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def quote(value: str) -> str:
    return escape(value).replace("\\", r"\\").replace('"', r"\"")
