# SPDX-License-Identifier: GPL-2.0-or-later
"""Every row of the table of messages, and all that the kernel's own diagnostics stand behind."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.probes.verifier.diagnosis import Category
from kprobe_tool.probes.verifier.messages.row import (
    FIELDS,
    MATCH_MAX,
    KernelMessage,
    literal_of,
    pattern_of,
    split_wording,
)
from kprobe_tool.probes.verifier.messages.table import TABLE, match

from .rendering import ARGUMENTS, EXAMPLES, render

DATA = Path(__file__).parents[3] / "data" / "verifier"
SITES = json.loads((DATA / "native-sites-7.3.json").read_text(encoding="utf-8"))
"""The hundred places at which Linux v7.3 writes diagnostics: category, problem, and messages before the block."""

ROWS = [row for group in TABLE for row in group.rows]
WORDINGS = [(row, wording) for row in ROWS for wording in row.wordings]
of_wordings = pytest.mark.parametrize(
    ("row", "wording"), WORDINGS, ids=[f"{row.rule}-{number}" for number, (row, _) in enumerate(WORDINGS)]
)
KERNELS = re.compile(r"(?:5|6|7)\.\d{1,2}(?:-(?:5|6|7)\.\d{1,2})?(?:, (?:5|6|7)\.\d{1,2})*")


def line_of(row: KernelMessage, wording: str, **values: str) -> str:
    """A message of a row; what narrows the only row that is narrowed is an access within the frame."""
    return render(wording, **{"off": "-8"} if row.only is not None else {}, **values)


@of_wordings
def test_each_wording_finds_its_row(row: KernelMessage, wording: str) -> None:
    found = match(line_of(row, wording))
    assert found is not None
    assert (found.row.rule, found.wording) == (row.rule, wording)
    for name in ("reason", "suggestion"):
        text = getattr(found, name)()
        assert text.endswith((".", ";")), text
        assert "{" not in text.replace("{}", "")


@of_wordings
def test_each_wording_takes_every_name_of_an_argument(row: KernelMessage, wording: str) -> None:
    for argument in ARGUMENTS:
        found = match(line_of(row, wording, arg=argument))
        assert found is not None
        assert found.row.rule == row.rule


@of_wordings
def test_a_wording_is_the_whole_line(row: KernelMessage, wording: str) -> None:
    assert pattern_of(wording).fullmatch("x" + render(wording)) is None or split_wording(wording)[0][0] == ""
    assert literal_of(wording) in render(wording)
    assert len(literal_of(wording)) >= 4


@of_wordings
def test_kernels_are_named(row: KernelMessage, wording: str) -> None:
    assert KERNELS.fullmatch(row.wordings[wording]), row.wordings[wording]


def test_rows_are_sound() -> None:
    assert len({row.rule for row in ROWS}) == len(ROWS)
    assert len({wording for _, wording in WORDINGS}) == len(WORDINGS)
    for row in ROWS:
        assert row.wordings
        assert re.fullmatch(r"[a-z0-9-]+", row.rule)
    for group in TABLE:
        assert group.rows
        assert group.problem[0].isupper() or group.problem[0].isdigit()


def test_texts_use_fields_that_every_wording_has() -> None:
    for row in ROWS:
        used = {name for text in (row.reason, row.suggestion) for _, name in split_wording(text) if name is not None}
        for wording in row.wordings:
            assert used <= {name for _, name in split_wording(wording)}, (row.rule, wording)


def test_every_field_is_used_and_has_an_example() -> None:
    used = {name for _, wording in WORDINGS for _, name in split_wording(wording) if name is not None}
    assert used == set(FIELDS) == set(EXAMPLES)
    for name, pattern in FIELDS.items():
        assert re.fullmatch(pattern, EXAMPLES[name]), name


def test_every_category_has_rows() -> None:
    assert {group.category for group in TABLE} == set(Category)


@pytest.mark.parametrize("site", SITES, ids=[f"{site['function']}-{n}" for n, site in enumerate(SITES)])
def test_messages_of_native_sites_are_in_the_table(site: dict[str, Any]) -> None:
    for message in site["messages"]:
        found = match(message)
        assert found is not None, message
        assert (found.group.category, found.group.problem) == (site["category"], site["problem"])


def test_there_are_a_hundred_sites() -> None:
    # One of them repeats the message of a bounds check and has none of its own.
    assert (len(SITES), sum(not site["messages"] for site in SITES)) == (100, 1)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("R0 invalid mem access 'inv'", "scalar-dereference"),
        ("R0 invalid mem access 'map_value_or_null'", "null-dereference"),
        ("R2 invalid mem access 'ptr_or_null_task_struct'", "null-dereference"),
        ("R2 invalid mem access 'pkt_end'", "invalid-dereference"),
        ("invalid read from stack R10 off=-8 size=8", "stack-not-written"),
        ("invalid read from stack R10 off=-520 size=8", "stack-out-of-frame"),
        ("invalid write to stack R10 off=8 size=8", "stack-out-of-frame"),
        ("At program exit the register R0 has smin=2 smax=2 should have been in [0, 1]", "return-value"),
        ("At program exit the register R0 has value (0x2; 0x0) should have been in (0x0; 0x1)", "return-value"),
        ("BPF_EXIT instruction in main prog would lead to reference leak", "reference-leak"),
        ("invalid func unknown#195896080", "poisoned-call"),
        ("invalid func unknown#100000", "unknown-helper"),
        ("unknown func bpf_redirect#23", "helper-not-for-type"),
        ("recursive call from () to ()", "recursion"),
        ("misaligned stack access off 0+0+-7 size 8", "misaligned"),
    ],
)
def test_messages_of_real_kernels_find_their_rows(line: str, rule: str) -> None:
    found = match(line)
    assert found is not None
    assert found.row.rule == rule


@pytest.mark.parametrize("line", ["", "R1", "R1 !read_ok and more", "something else", "0: (95) exit", "processed 1"])
def test_what_is_no_message_finds_no_row(line: str) -> None:
    assert match(line) is None


def test_no_line_takes_long() -> None:
    """Bait for expressions that go back and forth: as long as lines are looked at, and longer."""
    baits = [
        piece * (MATCH_MAX // len(piece))
        for piece in (
            "R1 type=",
            " the register R0 has",
            "R1 invalid mem access '",
            "( ; ",
            "a",
            " ",
            "kptr access ",
            "'",
        )
    ]
    baits += [
        render(wording, text="x" * 400, list="y" * 400, state=" z" * 200)[:MATCH_MAX] for _, wording in WORDINGS
    ]
    begin = time.process_time()
    for bait in baits:
        match(bait)
        match(bait + "!")
    assert time.process_time() - begin < 5
    assert match("R1 !read_ok".ljust(MATCH_MAX + 1)) is None
