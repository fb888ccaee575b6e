# SPDX-License-Identifier: GPL-2.0-or-later
"""``-o github``: annotations as workflow commands, ``::error file=F,line=N,col=N,title=T::text``."""

from __future__ import annotations

from collections.abc import Iterator

from kprobe_tool.report.document import Annotation, Document
from kprobe_tool.report.text import escape


def render(document: Document) -> Iterator[str]:
    """One line for each annotation; nothing where there is nothing to say."""
    return map(command, document.annotations)


def command(annotation: Annotation) -> str:
    """A workflow command. What ends a property or a line in its syntax is written as %XX."""
    where = {"file": annotation.file, "line": annotation.line, "col": annotation.column, "title": annotation.title}
    properties = ",".join(f"{name}={quote(str(value), ':,')}" for name, value in where.items() if value is not None)
    return f"::{annotation.level} {properties}::{quote(annotation.text)}"


def quote(text: str, more: str = "") -> str:
    """Text for a workflow command: percent first, then line ends, and in properties what separates them."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    for char in more:
        text = text.replace(char, f"%{ord(char):02X}")
    return escape(text)
