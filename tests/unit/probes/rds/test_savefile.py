# SPDX-License-Identifier: GPL-2.0-or-later
"""A saved capture comes from anywhere: whatever is in it, it is read or refused in one line."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobe_tool import cli
from kprobe_tool.errors import Error
from kprobe_tool.probes.rds import savefile
from kprobe_tool.probes.rds.entries import entries
from kprobe_tool.probes.rds.lists import LISTS, availability

DATA = Path(__file__).parents[2] / "data" / "rds"
CAPTURES = sorted(DATA.glob("*.json"))
CAPTURED = json.loads(next(path for path in CAPTURES if path.stem.startswith("6.1.")).read_text())
"""One of a kernel that keeps namespaces apart."""


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_a_capture_is_read_as_it_was_saved(path: Path, tmp_path: Path) -> None:
    capture, host = savefile.load(str(path))
    target = tmp_path / "again.json"
    savefile.save(str(target), capture, host)
    again, host_again = savefile.load(str(target))
    assert host_again == host
    assert entries(again, LISTS) == entries(capture, LISTS)
    assert target.stat().st_mode & 0o777 == 0o600


def refusal_of(document: Any, tmp_path: Path) -> str:
    path = tmp_path / "x.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(Error) as caught:
        savefile.load(str(path))
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "1",
        '"x"',
        "{}",
        '{"document": "other"}',
        "[" * 100_000,
        '{"document": 1e99}',
        "\x00\x01",
    ],
    ids=range(11),
)
def test_what_is_no_capture_is_refused(text: str, tmp_path: Path) -> None:
    assert refusal_of(text, tmp_path)


def test_binary_files_and_directories_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(Error, match="not a capture"):
        savefile.load(str(path))
    with pytest.raises(Error, match="Is a directory"):
        savefile.load(str(tmp_path))


def change(path: list[Any], value: Any) -> Any:
    document = copy.deepcopy(CAPTURED)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return document


ANSWER = ["readings", 0, "answers", 0]


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["schema_version"], 2, "schema_version 2"),
        (["byteorder"], "big", "byte order"),
        (["readings"], None, "readings is no list"),
        ([*ANSWER, "record_size"], 0, "records of 0 bytes"),
        ([*ANSWER, "record_size"], 1 << 40, "records of"),
        ([*ANSWER, "record_size"], True, "record_size is no int"),
        ([*ANSWER, "record_size"], 53, "no whole records"),
        ([*ANSWER, "data"], "====", "data of"),
        ([*ANSWER, "optname"], "\x1b[2J", "unknown optname"),
        (["readings", 0, "netns"], 12, "missing 12"),
        (["holders"], [{"inode": 1, "processes": [{"pid": "x", "comm": "y", "netns": None}]}], "pid is no int"),
        (["host", "release"], 6, "release is no str"),
        (["selected", 0, "name"], ["x"], "name is no str"),
    ],
)
def test_fields_are_looked_at(path: list[Any], value: Any, words: str, tmp_path: Path) -> None:
    assert words in refusal_of(change(path, value), tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=5,
)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path] * bool(path) + [place for step, value in steps for place in places(value, (*path, step))]


PLACES = places(CAPTURED)


@settings(max_examples=400, deadline=None)
@given(place=st.sampled_from(PLACES), value=json_values)
def test_any_value_anywhere_is_read_or_refused(place: tuple[Any, ...], value: Any) -> None:
    """Either the file is refused, or all of it can be shown: nothing in between."""
    try:
        capture, _ = savefile.parse(change(list(place), value))
    except (ValueError, TypeError, KeyError):
        return
    availability(capture.readings)
    entries(capture, LISTS)


@pytest.mark.parametrize("seed", range(20))
def test_flipped_bytes_never_make_a_traceback(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = bytearray(CAPTURES[0].read_bytes())
    dice = random.Random(seed)
    for _ in range(30):
        raw[dice.randrange(len(raw))] = dice.randrange(256)
    path = tmp_path / "x.json"
    path.write_bytes(raw)
    assert cli.run(["rds-info", "--from", str(path)]) in {0, 2, 3}
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert "\x1b" not in captured.out + captured.err


def test_hostile_names_do_not_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = copy.deepcopy(CAPTURED)
    for space in document["selected"]:
        space["name"] = "\x1b]0;owned\x07\u202e\u2028"
    document["holders"] = [
        {"inode": holder["inode"], "processes": [{"pid": 1, "comm": "\x1b[31m\n", "netns": None}]}
        for holder in document["holders"]
    ]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document))
    assert cli.run(["rds-info", "--from", str(path), "-o", "wide"]) == 0
    out = capsys.readouterr().out
    assert "\\x1b]0;owned\\x07\\u202e\\u2028" in out
    assert not {"\x1b", "\x07", "\u202e", "\u2028"} & set(out)


def test_special_files_are_not_replaced(tmp_path: Path) -> None:
    capture, host = savefile.load(str(CAPTURES[0]))
    for path in ("/dev/null", str(tmp_path)):
        with pytest.raises(Error, match="not a regular file"):
            savefile.save(path, capture, host)
    with pytest.raises(Error, match="No such file"):
        savefile.save(str(tmp_path / "no" / "x"), capture, host)
    assert list(tmp_path.iterdir()) == []


def test_lists_that_were_not_saved_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = copy.deepcopy(CAPTURED)
    for reading in document["readings"]:
        reading["answers"] = [answer for answer in reading["answers"] if "SOCKETS" in answer["optname"]]
        reading["failures"] = {}
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document))
    assert cli.run(["rds-info", "--from", str(path), "-n"]) == 3
    captured = capsys.readouterr()
    assert "was not asked for" in captured.out
    assert captured.err == "kprobe-tool: rds-info: connections: was not asked for when this was saved\n"
