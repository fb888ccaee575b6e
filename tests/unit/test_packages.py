# SPDX-License-Identifier: GPL-2.0-or-later
"""What users install says of itself what the program says: version, what it needs, manual pages, completions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from kprobe_tool import __version__

from .. import packages
from .test_cli import ARGV
from .test_man import PAGES

ROOT = Path(__file__).parents[2]
DATA = ROOT / "packages" / "data" / "share"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NEEDED = {re.split(r"[ ><=]", each)[0] for each in PROJECT["project"]["dependencies"]}
PINS = dict(re.findall(r"^(\w+)==(\S+)", (ROOT / "packages" / "pins.txt").read_text(encoding="utf-8"), re.MULTILINE))
COMPLETIONS = {
    "bash": "bash-completion/completions/kprobe-tool",
    "fish": "fish/vendor_completions.d/kprobe-tool.fish",
    "zsh": "zsh/site-functions/_kprobe-tool",
}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("debian/changelog", r"kprobe-tool \((.*)\) "),
        ("packages/kprobe-tool.spec", r"(?m)^Version: +(.*)$"),
        ("CHANGELOG.md", r"(?m)^## ([\d.]+)"),
    ],
)
def test_version_is_the_program_s(name: str, pattern: str) -> None:
    found = re.search(pattern, text(name))
    assert found is not None
    assert found[1] == __version__


def test_what_it_needs_is_named_everywhere() -> None:
    """bcc, which no package index has, in the distributions' packages only; the others are found by dh_python3."""
    assert {"click", "pyroute2", "tabulate"} == NEEDED
    assert {*NEEDED, "flit_core"} == set(PINS)
    assert "Depends: python3-bpfcc, ${misc:Depends}, ${python3:Depends}" in text("debian/control")
    assert "Requires:       python3-bcc" in text("packages/kprobe-tool.spec")


def test_python_is_the_oldest_that_is_supported() -> None:
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert "X-Python3-Version: >= 3.11" in text("debian/control")


def test_every_manual_page_is_where_man_looks() -> None:
    linked = {each.name: each for each in DATA.glob("man/man[1-9]/*")}
    assert set(linked) == {page.name for page in PAGES}
    for name, link in linked.items():
        assert link.resolve() == (ROOT / "man" / name).resolve()
        assert link.parent.name == f"man{name[-1]}"


def test_sdist_names_what_there_is() -> None:
    named = PROJECT["tool"]["flit"]["sdist"]["include"]
    assert [name for name in named if not (ROOT / name).exists()] == []
    if shutil.which("git") is None:
        pytest.skip("only git knows what belongs to the project, and here is none")
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-tree", "--name-only", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"git does not say what belongs to the project: {done.stderr}")
    assert sorted({*named, "LICENSE", "README.md", "pyproject.toml", "src"}) == sorted(done.stdout.split())


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_completion_is_what_the_program_prints(shell: str) -> None:
    """Made by: _KPROBE_TOOL_COMPLETE=SHELL_source kprobe-tool"""
    if version("click") != PINS["click"]:
        pytest.skip(f"click {PINS['click']} prints what is shipped, here is {version('click')}")
    environment = {**os.environ, "_KPROBE_TOOL_COMPLETE": f"{shell}_source"}
    done = subprocess.run(ARGV, env=environment, check=True, capture_output=True, text=True)
    assert (DATA / COMPLETIONS[shell]).read_text(encoding="utf-8") == done.stdout


@pytest.mark.parametrize(
    "way",
    [
        packages.APT,
        packages.PIPX,
        packages.PYZ,
        packages.UV,
        packages.MAN_OF_OLD_PIPX,
        packages.MAN_OF_UV,
        packages.BASH_COMPLETION,
    ],
)
def test_readme_says_how_to_install(way: str) -> None:
    """In the words that tests/packages tries on clean hosts."""
    assert re.search(rf"^    {re.escape(way)} +# ", text("README.md"), re.MULTILINE)
