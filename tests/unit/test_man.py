# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages, which are written by hand, say what the program does."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from kprobe_tool import __version__
from kprobe_tool.cli import COMMANDS, cli
from kprobe_tool.errors import ExitCode
from kprobe_tool.report.output import PROGRAM

from . import checks_page

MAN = Path(__file__).parents[2] / "man"
PAGES = sorted(MAN.glob("*.[1-9]"))
MAIN = MAN / f"{PROGRAM}.1"

CHARACTERS = {
    "aq": "'",
    "bu": "*",
    "dq": '"',
    "em": "--",
    "en": "-",
    "ha": "^",
    "rs": "\\",
    "ti": "~",
}
SIMPLE = {"-": "-", "e": "\\", "\\": "\\", "&": "", " ": " ", "~": " ", "/": "", ",": "", "|": "", "^": ""}
ESCAPE = re.compile(r"\\(?:f(?:\[\w*\]|\(\w\w|\w)|\((?P<two>..)|\[(?P<long>\w+)\]|(?P<one>.))")
"""No group matches a font change, which prints nothing."""
FONTS = {"B": "B", "I": "I", "R": "R", "SM": "R", "SB": "B"}
"""Macros whose arguments are text; two letters alternate and join without a blank."""
IGNORED = {"PP", "P", "LP", "RS", "RE", "EX", "EE", "nf", "fi", "br", "sp", "in", "ad", "hy", "TS", "TE", "T&"}
OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")


def page_of(command: str) -> Path:
    return MAN / f"{PROGRAM}-{command}.1"


def character(match: re.Match[str]) -> str:
    if match["one"]:
        return SIMPLE[match["one"]]
    name = match["two"] or match["long"]
    return CHARACTERS[name] if name else ""


def plain(text: str) -> str:
    """One line of roff without its escapes. Raises KeyError for an escape that no page should need."""
    return ESCAPE.sub(character, text)


def arguments(text: str) -> list[str]:
    """The arguments of a macro: words, or strings in double quotes, in which "" is one."""
    found = re.findall(r'"((?:[^"]|"")*)"?|(\S+)', text)
    return [plain(word or quoted.replace('""', '"')) for quoted, word in found]


def macro_text(name: str, words: Sequence[str]) -> str:
    """What a font macro prints."""
    if name in FONTS:
        return " ".join(words)
    assert re.fullmatch(r"[BIR]{2}", name), f"macro .{name}: man(7) has none, or this test should learn it"
    return "".join(words)


@dataclass
class Entry:
    """A tagged paragraph: its tags, and the text up to the next paragraph."""

    tags: list[str]
    body: list[str] = field(default_factory=list)


@dataclass
class Section:
    """A section as text, its tagged paragraphs, and the lines of its examples (.EX to .EE)."""

    lines: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass
class Page:
    """A manual page, read as far as these tests look at it."""

    title: list[str]
    sections: dict[str, Section]

    def __getitem__(self, name: str) -> Section:
        assert name in self.sections, f"no section {name}"
        return self.sections[name]


@cache
def read(path: Path) -> Page:
    title: list[str] = []
    sections: dict[str, Section] = {}
    section = Section()
    tagging: str | None = None
    example = False
    for raw in path.read_text(encoding="utf-8").splitlines():
        if raw.startswith(('.\\"', "'\\\"")) or raw == ".":
            continue
        if raw.startswith("."):
            name, _, rest = raw[1:].lstrip().partition(" ")
            words = arguments(rest)
            if name == "TH":
                title = words
                continue
            if name == "SH":
                section = sections[" ".join(words)] = Section()
                continue
            if name in {"TP", "TQ"}:
                tagging = name
                continue
            if name == "IP":
                section.entries.append(Entry(words[:1]))
                continue
            if name in {"EX", "EE"}:
                example = name == "EX"
            if name in {"SS", "PP", "P", "LP"}:
                # What follows is no longer the body of the entry before.
                section.entries.append(Entry([]))
            if name in IGNORED or name == "SS":
                continue
            line = macro_text(name, words)
        else:
            line = plain(raw)
        section.lines.append(line)
        if tagging == "TQ":
            section.entries[-1].tags.append(line)
        elif tagging == "TP":
            section.entries.append(Entry([line]))
        elif section.entries:
            section.entries[-1].body.append(line)
        tagging = None
        if example:
            section.examples.append(line)
    return Page(title, sections)


@cache
def command_info() -> dict[str, Any]:
    """The whole command line as data, by click itself."""
    info: dict[str, Any] = cli.to_info_dict(cli.make_context(PROGRAM, []))
    return info


def options(info: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The options of a command and of the commands below it."""
    yield from (param for param in info["params"] if param["param_type_name"] == "option")
    if info is not command_info():
        # The top group's commands have pages of their own.
        for below in info.get("commands", {}).values():
            yield from options(below)


def spellings(option: dict[str, Any]) -> set[str]:
    return {*option["opts"], *option["secondary_opts"]}


def info_of(path: Path) -> dict[str, Any]:
    """click's data about the command that a page is about."""
    info = command_info()
    if path == MAIN:
        return info
    below: dict[str, Any] = info["commands"][path.stem.removeprefix(f"{PROGRAM}-")]
    return below


COMMAND_PAGES = [MAIN, *map(page_of, COMMANDS)]
of_commands = pytest.mark.parametrize("path", COMMAND_PAGES, ids=lambda path: path.name)
of_pages = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


def test_each_command_has_a_page_and_each_page_a_command() -> None:
    assert sorted(COMMAND_PAGES) == [path for path in PAGES if path.suffix == ".1"]


def test_page_of_checks_is_that_of_the_table() -> None:
    """Written anew by: python -m tests.unit.checks_page > man/kprobe-tool-checks.7"""
    assert (MAN / "kprobe-tool-checks.7").read_text(encoding="utf-8") == checks_page.page()


@of_pages
def test_mandoc_finds_nothing(path: Path) -> None:
    if shutil.which("mandoc") is None:
        if os.environ.get("KPROBE_TOOL_REQUIRE") == "1":
            pytest.fail("mandoc is not installed")
        pytest.skip("mandoc is not installed")
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", str(path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@of_pages
def test_titles_are_complete(path: Path) -> None:
    title, section, date, source = read(path).title
    assert (title, section) == (path.stem.upper(), path.suffix[1:])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", date)
    assert source == f"{PROGRAM} {__version__}"


@of_pages
def test_references_lead_to_pages(path: Path) -> None:
    for section in read(path).sections.values():
        for name, number in re.findall(rf"({PROGRAM}[a-z-]*)\((\d)\)", section.text):
            assert (MAN / f"{name}.{number}").exists(), f"{name}({number})"


@of_commands
def test_sections_are_in_order(path: Path) -> None:
    page = read(path)
    assert list(page.sections)[:3] == ["NAME", "SYNOPSIS", "DESCRIPTION"]
    assert {"OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"} <= set(page.sections)
    assert page["NAME"].text.startswith(f"{path.stem} - ")
    name = PROGRAM if path == MAIN else f"{PROGRAM} {path.stem.removeprefix(f'{PROGRAM}-')}"
    assert re.match(rf"{name}\b", page["SYNOPSIS"].text)


@of_commands
def test_options_are_those_of_the_program(path: Path) -> None:
    section = read(path)["OPTIONS"]
    documented = {found for entry in section.entries for tag in entry.tags for found in OPTION.findall(tag)}
    existing = {name for option in options(info_of(path)) for name in spellings(option)}
    assert documented == existing
    mentioned = {found for found in OPTION.findall(section.text) if found.startswith("--")}
    assert mentioned <= existing


@of_commands
def test_choices_are_explained(path: Path) -> None:
    bodies = {
        name: " ".join(entry.body)
        for entry in read(path)["OPTIONS"].entries
        for tag in entry.tags
        for name in OPTION.findall(tag)
    }
    for option in options(info_of(path)):
        for choice in option["type"].get("choices", ()):
            body = bodies[option["opts"][-1]]
            assert re.search(rf"(?<![\w-]){re.escape(choice)}(?![\w-])", body), f"{option['name']} {choice}"


def test_commands_are_listed_with_their_help() -> None:
    listed = {entry.tags[0]: " ".join(entry.body) for entry in read(MAIN)["COMMANDS"].entries if entry.tags}
    assert list(listed) == list(COMMANDS)
    for name, (_, text) in COMMANDS.items():
        assert listed[name].startswith(text)
        assert f"{PROGRAM}-{name}(1)" in listed[name]


def exit_codes(path: Path) -> list[int]:
    return [int(tag) for entry in read(path)["EXIT STATUS"].entries for tag in entry.tags]


def test_the_main_page_has_every_exit_status() -> None:
    assert exit_codes(MAIN) == [code.value for code in ExitCode]


@of_commands
def test_commands_have_exit_statuses_of_the_table(path: Path) -> None:
    codes = exit_codes(path)
    assert codes
    assert set(codes) <= {code.value for code in ExitCode}


def command_lines(lines: Sequence[str]) -> Iterator[list[str]]:
    """The arguments of each call of the program in lines of shell."""
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        # The call inside a command substitution is one too.
        unquoted = re.sub(r'"\$\((.*)\)"', r"\1", line)
        lexer = shlex.shlex(unquoted, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        lexer.commenters = ""
        call: list[str] | None = None
        for token in lexer:
            if call is None and token == PROGRAM:
                call = []
            elif call is not None:
                if set(token) <= set("();<>|&"):
                    yield call
                    call = None
                else:
                    call.append(token)
        if call is not None:
            yield call


def parse(command: click.Command, name: str, args: list[str], parent: click.Context | None = None) -> None:
    """Parse a command line as click would before it calls anything. Raises click.ClickException."""
    ctx = command.make_context(name, list(args), parent=parent)
    assert not ctx.resilient_parsing
    if isinstance(command, click.Group):
        _, rest, _ = command.make_parser(ctx).parse_args(list(args))
        if rest:
            below, found, left = command.resolve_command(ctx, rest)
            assert below is not None
            assert found is not None
            parse(found, below, left, ctx)


@of_commands
def test_examples_parse(path: Path) -> None:
    calls = list(command_lines(read(path)["EXAMPLES"].examples))
    assert calls
    for call in calls:
        try:
            parse(cli, PROGRAM, call)
        except click.exceptions.Exit as done:
            # --help and --version end the program while it parses.
            assert done.exit_code == 0, call


@of_commands
def test_examples_are_about_the_command(path: Path) -> None:
    if path != MAIN:
        name = path.stem.removeprefix(f"{PROGRAM}-")
        for call in command_lines(read(path)["EXAMPLES"].examples):
            assert name in call


@pytest.mark.parametrize(
    ("line", "calls"),
    [
        ("kprobe-tool audit -o json > audit.json", [["audit", "-o", "json"]]),
        ("# kprobe-tool audit | jq '.x > 3'", [["audit"]]),
        ("sudo NO_COLOR=1 kprobe-tool audit && kprobe-tool doctor", [["audit"], ["doctor"]]),
        ('eval "$(_KPROBE_TOOL_COMPLETE=bash_source kprobe-tool)"', [[]]),
        ("kprobe-tool: audit: no", []),
    ],
)
def test_calls_are_found_in_lines_of_shell(line: str, calls: list[list[str]]) -> None:
    assert list(command_lines([line])) == calls


@pytest.mark.parametrize(
    ("roff", "text"),
    [(r"\fB\-\-save\fR", "--save"), (r"\f[B]a\f[]\(aqb\[aq]", "a'b'"), (r"\ex1b\&", "\\x1b"), (r"a\ b", "a b")],
)
def test_escapes_of_roff_are_read(roff: str, text: str) -> None:
    assert plain(roff) == text


def test_arguments_of_roff_are_read() -> None:
    assert arguments(r'\-o ", " "\fIA ""B""\fR" c') == ["-o", ", ", 'A "B"', "c"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_output_is_shown_that_no_test_makes(path: Path) -> None:
    """Output follows a command after an empty line. The tests of matrix (commands/verifier_log/test_matrix.py) make
    its output; whoever shows that of another command writes such a test, and names the command here."""
    blocks = re.findall(r"^\.EX\n(.*?)^\.EE", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    with_output = [block.split()[:3] for block in blocks if PROGRAM in block and "\n\n" in block]
    assert with_output == ([[PROGRAM, "verifier-log", "matrix"]] if path == page_of("verifier-log") else [])
