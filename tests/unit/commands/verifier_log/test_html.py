# SPDX-License-Identifier: GPL-2.0-or-later
"""The page that explain --html writes."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from kprobe_tool.probes import host
from tests.corpus import LOGS
from tests.skips import skip

from .test_explain import LOG, Capsys, explain_to_text


class Page(HTMLParser):
    """What a page would fetch, and what it has."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in {"src", "href", "data", "action"}]


def test_the_page_needs_nothing_else(capsys: Capsys, tmp_path: Path) -> None:
    html = tmp_path / "x.html"
    explain_to_text(capsys, str(LOGS / "7.3-rc7" / "leak-two.txt"), "--html", str(html))
    page = Page()
    page.feed(html.read_text(encoding="utf-8"))
    assert page.fetched == []
    assert page.tags.count("section") == 2
    assert "default-src 'none'" in html.read_text(encoding="utf-8")


def test_the_page_names_host_and_program(capsys: Capsys, tmp_path: Path) -> None:
    html = tmp_path / "x.html"
    explain_to_text(capsys, LOG, "--html", str(html))
    about = host.identity()
    assert f"Program count. Explained on {about['hostname']}, kernel {about['release']}" in html.read_text(
        encoding="utf-8"
    )


@pytest.mark.slow
def test_the_page_steps_in_a_browser(capsys: Capsys, tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        skip("chromium is not installed")
    html = tmp_path / "x.html"
    path = str(LOGS / "6.1.192" / "bounds-lost-by-copy.txt")
    explain_to_text(capsys, path, "--html", str(html))
    # Two presses of a key, as a reader would, when the page is up.
    text = html.read_text(encoding="utf-8")
    key = "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'j'}))"
    press = f"<script>{key}; {key}</script>"
    html.write_text(text.replace("</body>", f"{press}</body>"), encoding="utf-8")
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile", "--dump-dom")
    done = subprocess.run([browser, *options, html.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    steps = re.findall(r"<li([^>]*)>", done.stdout)
    assert len(steps) >= 4
    assert [number for number, attributes in enumerate(steps) if "current" in attributes] == [2]
    assert f"3 of {len(steps)}" in done.stdout
