# SPDX-License-Identifier: GPL-2.0-or-later
"""What docs/ refers to exists."""

import re
import shlex
from pathlib import Path

import pytest

from kprobe_tool.checks import CHECKS
from kprobe_tool.cli import cli

from .test_man import parse

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def test_there_are_pages() -> None:
    assert "kernel-findings.md" in [page.name for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        elif "://" not in target:
            assert (DOCS / target).exists(), target


def test_commands_and_checks_are_named_as_they_are() -> None:
    text = (DOCS / "kernel-findings.md").read_text()
    lines = re.findall(r"`kprobe-tool ([^`]*)`", text.replace("\n", " "))
    assert lines
    for line in lines:
        parse(cli, "kprobe-tool", shlex.split(line))
    ids = {check.id for check in CHECKS}
    assert set(re.findall(r"(?:check `|--only )([a-z0-9-]+)", text)) <= ids


def test_every_report_is_linked() -> None:
    linked = set(re.findall(r"reports/([\w.-]+)\)", (DOCS / "kernel-findings.md").read_text()))
    assert {report.name for report in (DOCS / "reports").iterdir()} == linked
