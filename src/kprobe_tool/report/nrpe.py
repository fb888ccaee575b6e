# SPDX-License-Identifier: GPL-2.0-or-later
"""``-o nrpe``: what a monitoring plugin prints. ``SERVICE STATE: text|figures``, and lines of detail."""

from __future__ import annotations

from collections.abc import Iterator

from kprobe_tool.errors import PluginState
from kprobe_tool.report.document import Document, Plugin
from kprobe_tool.report.text import escape

SERVICE = "KPROBE-TOOL"


def render(document: Document) -> Iterator[str]:
    """The lines of a document's plugin."""
    if document.plugin is None:
        raise TypeError(f"{document.name} has nothing for -o nrpe")
    return lines(document.plugin)


def lines(plugin: Plugin) -> Iterator[str]:
    """The first line is all that some monitoring systems show."""
    figures = " ".join(f"{name}={value}" for name, value in plugin.figures.items())
    first = f"{SERVICE} {plugin.state.name}: {plain(plugin.text)}"
    yield f"{first}|{figures}" if figures else first
    yield from map(plain, plugin.details)


def failure(reason: object) -> str:
    """The line of a plugin that could not ask."""
    return next(lines(Plugin(PluginState.UNKNOWN, str(reason))))


def plain(text: str) -> str:
    """Text without what the format gives a meaning: a bar would begin the figures."""
    return escape(text).replace("|", "/")
